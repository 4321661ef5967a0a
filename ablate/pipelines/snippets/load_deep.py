"""A file of more than 8 bits, or of other channels than grey and RGB, as ablate reads it; see the package."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch


class LoadDeep:
    """Reads TIFF, PNG and NumPy files as float32 [c, h, w] in [0, 1], without the ends beyond 3 : 1.

    ``ranges`` are the values that become 0 and 1, for each channel or for all. A file of another number of channels
    than ``channels`` raises ValueError; axes of a TIFF file that are neither rows nor columns count as channels.
    """

    def __init__(self, ranges: tuple[tuple[float, float], ...], channels: int) -> None:
        self.ranges, self.channels = ranges, channels

    def __call__(self, path: str) -> torch.Tensor:
        """The image in the file ``path``."""
        pixels = self.planes(path)
        if len(pixels) not in {self.channels, len(self.ranges)}:
            raise ValueError(f"{path}: {len(pixels)} channels, not {self.channels}")
        if not (np.isrealobj(pixels) and np.isfinite(pixels).all()):
            raise ValueError(f"{path}: pixels that are complex, NaN or infinite")
        low, high = np.array(self.ranges).T[:, :, None, None]
        scaled = ((pixels - low) * (1 / (high - low))).clip(0, 1).astype(np.float32)
        height, width = scaled.shape[1:]
        tall, wide = min(height, 3 * width), min(width, 3 * height)
        top, left = (height - tall) // 2, (width - wide) // 2
        cut = scaled[:, top : top + tall, left : left + wide]
        return torch.from_numpy(np.ascontiguousarray(cut)).expand(self.channels, -1, -1)

    def planes(self, path: str) -> Any:
        """The channels of a file as it holds them."""
        with Path(path).open("rb") as file:
            start = file.read(8)
        if start.startswith(b"\x93NUMPY"):
            pixels = np.load(path, allow_pickle=False)
            if pixels.ndim == 2:
                return pixels[None]
            if pixels.ndim != 3 or pixels.shape[0] == pixels.shape[2]:
                raise ValueError(f"{path}: an array of the shape {pixels.shape}")
            return pixels if pixels.shape[0] < pixels.shape[2] else pixels.transpose(2, 0, 1)
        if start.startswith(b"\x89PNG"):
            pixels = imagecodecs.imread(path)
            return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        with tifffile.TiffFile(path) as file:
            (series,) = (series for series in file.series if not series.keyframe.is_reduced)
            if series.keyframe.photometric == 0 or series.keyframe.tags.valueof(274, default=1) != 1:
                raise ValueError(f"{path}: its 0 is white, or it is not upright")
            axes = series.axes
            order = [axis for axis in axes if axis not in "CSYX"] + [axis for axis in axes if axis in "CS"] + ["Y", "X"]
            pixels = series.asarray().transpose([axes.index(axis) for axis in order])
        return pixels.reshape(-1, *pixels.shape[-2:])
