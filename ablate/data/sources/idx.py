"""MNIST and Fashion-MNIST in their official idx files, which may be compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.sources.official import OfficialFiles, Part, found_in

FOLDERS = {"mnist": ("raw", "MNIST/raw"), "fashion-mnist": ("raw", "FashionMNIST/raw")}  # as torchvision stores them
CLASSES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion-mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
}
PREFIXES = {"train": "train", "test": "t10k"}
BYTES = 8  # the code of unsigned bytes in an idx header


def find_idx(kind: str, path: Path) -> OfficialFiles:
    """Return the official files of ``mnist:PATH`` or ``fashion-mnist:PATH``.

    ``PATH`` holds the four files, or the folder in which torchvision stores them. A file may end in ``.gz``, and may
    have a dot in place of the dash before ``idx``.

    Raises:
        UsageError: there is no such directory, or a file is missing.
    """
    names = {
        name: [f"{spelt}{gz}" for spelt in (name, name.replace("-idx", ".idx")) for gz in ("", ".gz")]
        for prefix in PREFIXES.values()
        for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    }
    files = found_in(kind, path, FOLDERS[kind], names)

    def read() -> dict[str, Part]:
        return {
            split: _part(files[f"{prefix}-images-idx3-ubyte"], files[f"{prefix}-labels-idx1-ubyte"])
            for split, prefix in PREFIXES.items()
        }

    folder = next(iter(files.values())).parent
    return OfficialFiles(folder, [file.name for file in files.values()], read, lambda: CLASSES[kind])


def _part(images: Path, labels: Path) -> Part:
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers) or numbers.max(initial=0) > 9:
        raise RuntimeError(f"{images.name} holds {len(pixels)} images, and {labels.name} not as many labels of 0 to 9")
    count, height, width = pixels.shape
    return np.broadcast_to(pixels[:, None], (count, 3, height, width)), torch.from_numpy(numbers.astype(np.int64))


def read_idx(path: Path, dimensions: int) -> np.ndarray[Any, Any]:
    """Return the array of unsigned bytes in an idx file: a header of big-endian numbers, then the values.

    Args:
        path: the file; if its name ends in .gz, it is decompressed.
        dimensions: the number of dimensions that it must have.

    Raises:
        RuntimeError: the file is no such array, or is truncated.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise RuntimeError(f"{path.name} cannot be read: {error}") from error
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, BYTES, dimensions]) or len(content) < start:
        raise RuntimeError(f"{path.name} is no idx file of bytes in {dimensions} dimensions")
    shape = [int(size) for size in np.frombuffer(content[4:start], dtype=">u4")]
    if len(content) - start != np.prod(shape):
        raise RuntimeError(f"{path.name} has {len(content) - start} bytes of values, and its header says {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
