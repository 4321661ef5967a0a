"""A NumPy file as ablate reads it; see the package."""

from pathlib import Path
from typing import Any

import numpy as np


def array_file(path: str, channels: int) -> Any:
    """The planes [c, h, w] of a NumPy file; None for other files, of which DICOM raises ValueError.

    Of three axes the first or the last holds the planes: the one that is ``channels`` long, else the shortest.
    """
    with Path(path).open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":
        raise ValueError(f"{path}: a DICOM file, which is not read here: save its pixels as a NumPy file")
    if not start.startswith(b"\x93NUMPY"):
        return None
    pixels = np.load(path, allow_pickle=False)
    shape = pixels.shape
    if len(shape) not in (2, 3) or not all(shape):
        raise ValueError(f"{path}: an array of the shape {shape}")
    if len(shape) == 2:
        pixels = pixels[None]
    else:
        ends, shortest = (shape[0], shape[2]), min(shape)
        count = channels if ends.count(channels) == 1 else shortest
        if ends.count(count) != 1 or (count != channels and (shape[1] == shortest or shortest > 32)):
            raise ValueError(f"{path}: an array of the shape {shape}, whose channels may be the first or the last axis")
        pixels = pixels if shape[0] == count else pixels.transpose(2, 0, 1)
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
