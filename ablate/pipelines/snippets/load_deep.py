"""A file of more than 8 bits, or of other channels than grey and RGB, as ablate reads it; see the package."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import Image, ImageOps

from ablate.pipelines.snippets.array_file import array_file


class LoadDeep:
    """Reads TIFF, PNG, WebP and NumPy files as float32 [c, h, w] in [0, 1], without the ends beyond 3 : 1.

    ``ranges`` are the values that become 0 and 1, for each channel or for all; None for files of 8 bits. Files of
    another number of channels than ``channels``, and kinds that would be read otherwise than by ablate, raise
    ValueError. Axes of a TIFF file that are neither rows nor columns count as channels.
    """

    def __init__(self, ranges: tuple[tuple[float, float], ...] | None, channels: int) -> None:
        self.ranges, self.channels = ranges, channels

    def __call__(self, path: str) -> torch.Tensor:
        """The image in the file ``path``."""
        pixels = array_file(path, self.channels)
        if pixels is None:
            pixels = self.planes(path)
        if pixels.dtype.kind not in "uif" or not np.isfinite(pixels).all():
            raise ValueError(f"{path}: pixels that are NaN, infinite or no real numbers")
        if (pixels.dtype == np.uint8) != (self.ranges is None):
            raise ValueError(f"{path}: its depth is not that of the images that were judged")
        grey = self.channels == 3 and self.ranges is not None and len(self.ranges) == 1  # stored three times
        if len(pixels) != self.channels and not (len(pixels) == 1 and grey):
            raise ValueError(f"{path}: {len(pixels)} channels, not {self.channels}")
        low, high = np.array(self.ranges or [(0, 255)]).T[:, :, None, None]
        scaled = ((pixels - low) * (1 / (high - low))).clip(0, 1).astype(np.float32)
        height, width = scaled.shape[1:]
        tall, wide = min(height, 3 * width), min(width, 3 * height)
        top, left = (height - tall) // 2, (width - wide) // 2
        cut = scaled[:, top : top + tall, left : left + wide]
        return torch.from_numpy(np.ascontiguousarray(cut)).expand(self.channels, -1, -1)

    def planes(self, path: str) -> Any:
        """The channels of a TIFF, PNG or WebP file as it holds them."""
        with Path(path).open("rb") as file:
            start = file.read(32)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return self.tiff(path)
        if not start.startswith((b"\x89PNG", b"RIFF")):
            raise ValueError(f"{path}: a file that is no TIFF, PNG, WebP or NumPy file")
        deep = start.startswith(b"\x89PNG") and start[24] == 16  # bits
        with Image.open(path) as file:
            if not deep and file.mode in ("LA", "RGBA"):
                return np.asarray(ImageOps.exif_transpose(file)).transpose(2, 0, 1)
            if not deep or "transparency" in file.info or file.getexif().get(274, 1) != 1:
                raise ValueError(f"{path}: of the kind {file.mode}, with a transparent value, or not upright")
        pixels = imagecodecs.imread(path)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return self.opaque(pixels) if len(pixels) in (2, 4) else pixels

    def tiff(self, path: str) -> Any:
        """The channels of a TIFF file as it holds them."""
        with tifffile.TiffFile(path, _multifile=False) as file:
            series = [series for series in file.series if not series.keyframe.is_reduced]
            if len(series) != 1 or file.pages.first.is_reduced:
                raise ValueError(f"{path}: several images, or a thumbnail on its first page")
            page, axes = series[0].keyframe, series[0].axes
            if page.photometric not in (1, 2) or page.tags.valueof(274, default=1) != 1:
                raise ValueError(f"{path}: its colours are not grey or RGB, its 0 is white, or it is not upright")
            if page.bitspersample not in (8, 16, 32, 64):
                raise ValueError(f"{path}: pixels of {page.bitspersample} bits")
            places = {"C": 1, "S": 1, "Y": 2, "X": 3}  # others come first, and may stand repeatedly
            order = sorted(range(len(axes)), key=lambda number: places.get(axes[number], 0))
            pixels = series[0].asarray().transpose(order)
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        extra = page.samplesperpixel - (3 if page.photometric == 2 else 1)
        called = extra == 1 and tuple(page.extrasamples) in ((1,), (2,)) and len(pixels) == page.samplesperpixel
        return self.opaque(pixels) if called else pixels

    def opaque(self, pixels: Any) -> Any:
        """Without the last channel if it is transparency that hides nothing, and the images have one channel less."""
        hides = pixels.dtype != np.uint16 or (pixels[-1] != 65535).any()
        return pixels if hides or len(pixels) != self.channels + 1 else pixels[:-1]
