"""The shortcut: how well histograms alone find the other view of an image. It needs no encoder and no labels.

Chen et al. 2020 (section 3.1, Figure 6) explain by it why crops need colour distortion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor

from ablate.data import Images, Resident
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import stream

BINS = 32
AMONG = 256  # images among which the other view is to be found
SIDE = 64  # pixels: a histogram needs no larger views
PART = 64  # images that are augmented at once, to bound memory
CONFIDENCE = 0.95


def histograms(views: Tensor, bins: int = BINS) -> Tensor:
    """Return how many pixels of each view fall into each of ``bins`` equal bins, for every channel by itself.

    Channels are counted one by one because a joint histogram of ``c`` channels has ``bins ** c`` bins.

    Args:
        views: float ``[n, c, h, w]`` in [0, 1].
        bins: the number of bins.

    Returns:
        Whole numbers as float32 ``[n, c * bins]``.
    """
    n, c = views.shape[:2]
    level = (views.flatten(0, 1).flatten(1) * bins).int().clamp_(0, bins - 1)
    level += bins * torch.arange(n * c, dtype=torch.int32)[:, None]  # one count for all: much faster than scatter_add
    return level.flatten().bincount(minlength=n * c * bins).view(n, c * bins).float()


def matched(first: Tensor, second: Tensor) -> float:
    """Return the share of rows of ``first`` whose nearest row of ``second`` is their own.

    The distance is the sum of absolute differences, one minus the intersection of the histograms (Swain and Ballard
    1991). Where several rows are equally near, each counts as a fraction.

    Args:
        first: histograms of the first views, ``[n, d]``.
        second: histograms of the second views in the same order, ``[n, d]``.
    """
    distance = torch.cdist(first, second, p=1)  # exact: sums of whole numbers
    own = distance.diagonal()[:, None]
    nearest = (distance < own).sum(1) == 0
    return float((nearest.double() / (distance == own).sum(1)).mean())


def shortcut(
    images: Images,
    pairs: Sequence[TransformPair],
    draws: int,
    seed: int,
    describe: Callable[[Tensor], Tensor] = histograms,
) -> NDArray[np.float64]:
    """Return how often histograms find the other view of an image among 256, by pair and draw: ``[pairs, draws]``.

    In each draw, all pairs get the same images and, in the same place of their compositions, the same crops.

    Args:
        images: the images; all of them are compared if they are fewer than 256.
        pairs: the transform pairs.
        draws: how many times images and views are drawn.
        seed: the seed of the draws.
        describe: what is compared in place of histograms, float ``[n, d]`` of views ``[n, c, h, w]``.
    """
    stored, shares = Resident(images, torch.device("cpu")), np.zeros((len(pairs), draws))
    for draw in range(draws):
        index = torch.randperm(len(images), generator=stream(seed, "shortcut", draw))[:AMONG]
        pixels, sizes = stored.batch(index)
        for row, pair in enumerate(pairs):
            params = pair.sample(len(index), stored.extents(index), Streams(seed, draw, "cpu"))
            views: tuple[list[Tensor], list[Tensor]] = ([], [])
            for start in range(0, len(index), PART):
                part = slice(start, start + PART)
                both = pair.apply(pixels[part], params.part(part), None if sizes is None else sizes[part])
                for found, view in zip(views, both, strict=True):
                    found.append(describe(view))
            shares[row, draw] = matched(torch.cat(views[0]), torch.cat(views[1]))
    return shares


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of draws ``[n]`` and the ends of its 95 % interval (Student's t); NaN ends with one draw."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half
