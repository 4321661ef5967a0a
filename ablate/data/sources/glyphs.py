"""The embedded data set: real handwritten digits, rendered in colour.

It shows on a laptop why SimCLR needs colour augmentation. Each image takes one of scikit-learn's 1797 real digits (8 x
8 px) and draws it at a random scale and place, in a random bright colour, over a smooth random background. Colour is
random per image and independent of the label, but all crops of one image share it: an encoder trained with crops alone
can tell images apart by their colour histogram and learns nothing about the digit. When colours are distorted, it has
to learn the digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.data.dataset import split_by_group
from ablate.data.digest import digest_of
from ablate.data.entry import Progress, Writer
from ablate.rng import stream

if TYPE_CHECKING:
    import numpy as np

VERSION = "1"  # version of the procedure below; raise it when a pixel changes
SIZE = 32  # pixels
TRAIN_IMAGES, TEST_IMAGES = 4096, 2000
TEST_DIGITS = 397  # of 1797; the split is by digit, the same for every rendering seed
SPLIT_SEED = 20
VALIDATION = 0.15
SCALE = (0.5, 1.0)  # side of the digit's box relative to the image's, uniform; its place is uniform inside the image
INK = (0.25, 0.65)  # grey values of the enlarged digit where ink begins and where it is full
FOREGROUND = {"saturation": (0.3, 1.0), "value": (0.75, 1.0)}  # hue uniform
BACKGROUND = {"saturation": (0.3, 1.0), "value": (0.15, 0.55)}  # hue uniform
PATCHES = 3  # the background varies as a bicubic surface through 3 x 3 random values per channel
VARIATION = 0.15  # the random values lie between -0.15 and 0.15


class Glyphs:
    """The source of ``glyphs`` and ``glyphs:SEED``; the seed is that of the rendering, 0 by default."""

    notes: tuple[str, ...] = ()

    def __init__(self, seed: int) -> None:
        self.seed, self.name = seed, "glyphs" if seed == 0 else f"glyphs:{seed}"
        self.identity = f"glyphs {VERSION} {seed}"

    def signature(self) -> str:
        """Return a digest of the procedure's version and the seed, since there are no files.

        It differs from the digest of the identity alone.
        """
        return digest_of("glyphs", self.identity)

    def manifest(self) -> str:
        """Return the procedure's version and the seed."""
        return self.identity

    def fingerprint(self, like: Mapping[str, Any] | None = None) -> str:
        """Return a digest of the source digits, the procedure and the seed.

        Rendering uses float64, so all machines agree on the bytes.
        """
        return digest_of(self.identity, _digits()[0].tobytes())

    def write(self, writer: Writer, progress: Progress) -> str:
        """Render both splits, from disjoint sets of digits, and return the fingerprint."""
        images, targets = _digits()
        digits, labels = torch.from_numpy(images / 16.0), torch.from_numpy(targets).long()
        order = torch.randperm(len(digits), generator=stream(SPLIT_SEED, "glyphs/split"))
        parts = {"train": (order[TEST_DIGITS:], TRAIN_IMAGES), "test": (order[:TEST_DIGITS], TEST_IMAGES)}
        for split, (sources, count) in parts.items():
            chosen = sources[torch.arange(count) % len(sources)]
            pixels = render(digits[chosen], stream(self.seed, f"glyphs/{split}"))
            writer.uniform(split, pixels.numpy(), labels[chosen], groups=chosen)
            if split == "train":
                val_mask = split_by_group(labels[chosen], chosen, VALIDATION, SPLIT_SEED)
        writer.describe(self.name, [str(d) for d in range(10)], val_mask)
        progress(1, 1)
        return self.fingerprint()


def _digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return scikit-learn's digits, ``[1797, 8, 8]`` in 0 to 16, and their labels.

    The import takes more than a second, so it happens here.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    return source.images, source.target


def render(digits: Tensor, generator: torch.Generator) -> Tensor:
    """Render ``digits``, float64 ``[n, 8, 8]`` in [0, 1], as colour images, uint8 ``[n, 3, 32, 32]``."""
    n = len(digits)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator, dtype=torch.float64)

    ink = _ink(digits, uniform(*SCALE), uniform(-1, 1), uniform(-1, 1))
    colour = _hsv(uniform(0, 1), uniform(*FOREGROUND["saturation"]), uniform(*FOREGROUND["value"]))
    ground = _hsv(uniform(0, 1), uniform(*BACKGROUND["saturation"]), uniform(*BACKGROUND["value"]))
    patches = uniform(-VARIATION, VARIATION, 3, PATCHES, PATCHES)
    surface = F.interpolate(patches, (SIZE, SIZE), mode="bicubic", align_corners=False)
    background = (ground[:, :, None, None] + surface).clamp(0, 1)
    image = background + (colour[:, :, None, None] - background) * ink
    return (image * 255).round().to(torch.uint8)


def _ink(digits: Tensor, scale: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the amount of ink of each pixel, float64 ``[n, 1, 32, 32]`` in [0, 1].

    ``x`` and ``y`` in [-1, 1] place the digit within the free room.
    """
    large = F.interpolate(digits[:, None], (SIZE, SIZE), mode="bicubic", align_corners=False).clamp(0, 1)
    room = (1 - scale) / scale
    theta = torch.zeros(len(digits), 2, 3, dtype=torch.float64)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / scale
    theta[:, 0, 2], theta[:, 1, 2] = -x * room, -y * room
    grid = F.affine_grid(theta, [len(digits), 1, SIZE, SIZE], align_corners=False)
    placed = F.grid_sample(large, grid, align_corners=False)
    return ((placed - INK[0]) / (INK[1] - INK[0])).clamp(0, 1)


def _hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert HSV in [0, 1] to RGB ``[n, 3]`` (the hexcone model)."""
    k = (hue[:, None] * 6 + torch.tensor([5.0, 3.0, 1.0], dtype=torch.float64)) % 6
    chroma = (value * saturation)[:, None]
    return value[:, None] - chroma * torch.minimum(k, 4 - k).clamp(0, 1)
