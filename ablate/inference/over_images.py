"""The covariance of accuracies over images: how they would differ on other images, or groups of images, of the kind.

An accuracy is a mean over images, so its covariances over samples of images follow from what each image adds to it.
For top-1 accuracy they are those of the paired bootstrap over images with infinitely many draws; for balanced accuracy,
a mean of quotients, to first order (the infinitesimal jackknife, Efron 1982, *The Jackknife, the Bootstrap and Other
Resampling Plans*, chapter 6). Images of one group are drawn together.

Two seeds of a cell err on different images. What they have in common is the images' doing; what they do not is noise
that more seeds average away, and that the spread over seeds holds already. The covariance between *different* seeds is
therefore the part of the images alone: Obuchowski and Rockette's covariance between readers (1995, *Communications in
Statistics* 24), who read the same cases as seeds read the same images. No bootstrap that resamples both is unbiased for
the sum of both parts (McCullagh 2000; Owen 2007, "The pigeonhole bootstrap").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy.special import stdtrit

from ablate.inference.difference import EQUAL
from ablate.inference.dunnett import CONFIDENCE

DRAWS = 4_000
Array = NDArray[np.float64]
Integers = npt.NDArray[np.integer]
Correct = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class OverImages:
    """The covariance of the mean accuracies of ``labels`` over images, ``[cells, cells]``.

    ``between`` is the covariance between different seeds, which is what other images add to the noise of seeds.
    ``whole`` is that of these encoders: other images, but the same seeds. ``images`` counts the images, and ``units``
    the groups that are drawn together; without groups every image is one. ``alone`` is True if results are to hold for
    other images with the same seeds only.
    """

    labels: tuple[str, ...]
    between: Array
    whole: Array
    images: int
    units: int
    alone: bool = False

    @property
    def covariance(self) -> Array:
        """The covariance that counts: ``whole`` if the images are ``alone``, else ``between``."""
        return self.whole if self.alone else self.between

    @property
    def how(self) -> str:
        """What the intervals hold, in words, such as ``seeds and images``."""
        of = "groups of images" if self.units < self.images else "images"
        return f"{of} only" if self.alone else f"seeds and {of}"

    @property
    def df(self) -> int:
        """The degrees of freedom of a variance over images."""
        return max(1, self.units - 1)

    def of(self, labels: Sequence[str]) -> OverImages:
        """Return the same of some cells, in their order."""
        position = {label: number for number, label in enumerate(self.labels)}
        chosen = [position[label] for label in labels]
        at = np.ix_(chosen, chosen)
        return replace(self, labels=tuple(labels), between=self.between[at], whole=self.whole[at])

    def error(self, weights: Array) -> float:
        """Return the standard error of ``sum(weight * mean)`` over images."""
        return math.sqrt(max(0.0, float(weights @ self.covariance @ weights)))

    @cached_property
    def errors(self) -> Array:
        """The standard errors of the differences ``row - column`` over images, ``[cells, cells]``."""
        own = np.diag(self.covariance)
        return np.asarray(np.sqrt(np.maximum(own[:, None] + own[None] - 2 * self.covariance, 0.0)))

    def multiple(self, contrasts: Array | None = None) -> float:
        """Return the multiple of standard errors that is half of a 95 % interval.

        Args:
            contrasts: weights ``[contrasts, cells]`` whose intervals hold together; None: a single one.
        """
        alone = float(stdtrit(self.df, (1 + CONFIDENCE) / 2))
        if contrasts is None:
            return alone
        # in standard errors of the draws, since those of an estimate between seeds may be next to 0
        spread = contrasts @ self._root(range(len(self.labels)), centred=False)
        errors = np.linalg.norm(spread, axis=1)
        drawn = np.abs(_standard(DRAWS, spread.shape[1]) @ spread[errors > EQUAL].T / errors[errors > EQUAL])
        most = drawn.max(axis=1, initial=0.0)
        return max(alone, float(np.quantile(most, CONFIDENCE)))

    def apart(self, among: Sequence[int]) -> Array:
        """Return the variance over images of each of some cells about their common mean, ``[cells]``.

        Their sum is what the images add to the variance of the cells' means, which the whole sample shares otherwise:
        hard images are hard for all.
        """
        k = len(among)
        return np.maximum(np.diag(self._centred(among)), 0.0) * k / max(k - 1, 1)

    def draws(self, among: Sequence[int], number: int) -> Array:
        """Return draws of the deviations of some cells' means about their common mean, ``[number, cells]``."""
        root = self._root(among, centred=True)
        return np.asarray(_standard(number, len(root)) @ root.T)

    def _root(self, among: Sequence[int], *, centred: bool) -> Array:
        """Return a factor of the covariance, ``[cells, cells]``; an estimate's negative values count as 0."""
        covariance = self._centred(among) if centred else self.covariance[np.ix_(among, among)]
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def _centred(self, among: Sequence[int]) -> Array:
        some = self.covariance[np.ix_(among, among)]
        return np.asarray(some - some.mean(axis=0) - some.mean(axis=1)[:, None] + some.mean())


def _standard(number: int, cells: int) -> Array:
    return np.random.default_rng(1).standard_normal((number, cells))


def influence_of(
    label: Integers, group: Integers | None = None, *, balanced: bool = False
) -> Callable[[Correct], Array]:
    """Return the function from correct predictions to what each group of images adds to an accuracy's deviation.

    It takes bool ``[n]``, True for the images that are classified correctly, and returns ``[groups]``, whose squares
    sum to the variance of the accuracy. A class of which only one group has images tells nothing about its own spread.
    Its images are compared with the accuracy over all instead, which is cautious (``lonely.psu="adjust"`` in Lumley's
    R package *survey*).

    Args:
        label: the true class of each image, ``[n]``, n > 0.
        group: the group of each image, ``[n]``; None: every image is its own.
        balanced: True for balanced accuracy, False for top-1.
    """
    n = len(label)
    stratum = np.unique(label, return_inverse=True)[1] if balanced else np.zeros(n, dtype=np.intp)
    unit = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1]
    images = np.bincount(stratum)
    pairs = np.unique(unit.astype(np.int64) * len(images) + stratum) % len(images)
    units = np.bincount(pairs, minlength=len(images))  # groups that hold an image of the class
    scale = np.sqrt(np.where(units > 1, units / np.maximum(units - 1, 1), 1.0)) / (len(images) * images)
    weight = scale[stratum]

    def of(correct: Correct) -> Array:
        means = np.bincount(stratum, weights=correct) / images
        added = (correct - np.where(units > 1, means, means.mean())[stratum]) * weight
        return added if group is None else np.asarray(np.bincount(unit, weights=added), dtype=float)

    return of


def influence(correct: Correct, label: Integers, group: Integers | None = None, *, balanced: bool = False) -> Array:
    """Return what :func:`influence_of` the same images gives for ``correct``, ``[groups]``."""
    return influence_of(label, group, balanced=balanced)(correct)


def over_images(influences: Mapping[str, Mapping[int, Array]], images: int, *, alone: bool = False) -> OverImages:
    """Return the covariances of the cells' mean accuracies over images.

    Args:
        influences: what :func:`influence` returns, ``[groups]``, by cell and seed.
        images: the number of images.
        alone: True if results are to hold for other images with the same seeds only.
    """
    labels = tuple(influences)
    seeds = sorted({seed for known in influences.values() for seed in known})
    n = np.array([len(known) for known in influences.values()], dtype=float)
    sums = np.stack([np.sum(list(known.values()), axis=0) for known in influences.values()])
    product = sums @ sums.T
    same, shared = np.zeros_like(product), np.zeros_like(product)
    for seed in seeds:
        at = [i for i, known in enumerate(influences.values()) if seed in known]
        rows = np.stack([influences[labels[i]][seed] for i in at])
        same[np.ix_(at, at)] += rows @ rows.T
        shared[np.ix_(at, at)] += 1
    whole, pairs = product / np.outer(n, n), np.outer(n, n) - shared
    # Two cells with one and the same seed have no pair of different seeds: the whole is the upper bound.
    between = np.where(pairs > 0, (product - same) / np.maximum(pairs, 1.0), whole)
    return OverImages(labels, between, whole, images, sums.shape[1], alone)
