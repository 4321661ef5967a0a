"""SVHN in its official MATLAB files of cropped digits, 32 x 32 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ablate.data.sources.official import OfficialFiles, Part, found_in

NAMES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


def find_svhn(path: Path) -> OfficialFiles:
    """Return the official files of ``svhn:PATH``, which lie in ``PATH``; further training images are not read.

    Raises:
        UsageError: there is no such directory, or a file is missing.
    """
    files = found_in("svhn", path, (), {name: [name] for name in NAMES.values()})

    def read() -> dict[str, Part]:
        return {split: _part(files[name]) for split, name in NAMES.items()}

    return OfficialFiles(path, list(NAMES.values()), read, lambda: [str(digit) for digit in range(10)])


def _part(path: Path) -> Part:
    """Return the images ``X``, uint8 ``[32, 32, 3, N]`` in the file, and the labels ``y``, where 10 means 0."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].reshape(-1).astype(np.int64) % 10
    except Exception as error:  # damaged files make scipy raise exceptions of all kinds
        raise RuntimeError(f"{path.name} cannot be read: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise RuntimeError(f"{path.name} does not hold images X of 32 x 32 px with as many labels y")
    return pixels.transpose(3, 2, 0, 1), torch.from_numpy(labels)
