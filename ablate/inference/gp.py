"""A Gaussian process over compositions: what the trials of some say about all others, and how surely.

``value = mean[level] + size[level] * (f(composition) + g[level](composition) + seed[level] + noise)``. The effects
``f`` are normal with the kernel of :mod:`ablate.inference.kernel`, and ``g`` with a fraction of it. Level 0 is to be
predicted. Further levels are cheaper measurements, such as the kNN at a rung of pruning. Means have flat priors. The
means that another sweep found are a further part of the kernel: a linear term whose weight is normal about 0, so that a
misleading sweep gets next to no weight. The weights of the kernel's parts, the variances of seeds and noise and the
sizes follow from the restricted likelihood times log-normal priors, by Laplace's approximation (Rasmussen and Williams
2006, sections 2.7, 3.4 and 5.4). The priors were chosen on simulated grids alone: those of ``benchmarks/simulated.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from ablate.inference.kernel import PARTS, Compositions
from ablate.inference.model import estimate

Array = NDArray[np.float64]
BySeed = Mapping[int, float]
"""The values of one composition, by seed; empty if it was not measured."""
MEDIANS = {
    "op": 0.5,
    "first": 0.05,
    "last": 0.05,
    "pair": 0.3,
    "ordered pair": 0.1,
    "composition": 0.2,
    "length": 0.2,
    "elsewhere": 0.1,
    "seed": 0.02,
    "noise": 0.02,
    "level": 0.1,
}
"""The prior medians of all variances, as multiples of the variance of the compositions' mean values."""
SPREAD = 1.5  # the prior standard deviation of the logarithm of a variance
OF_SIZES = 0.5  # the same for the size of a level
FARTHEST = 5.0  # prior standard deviations within which hyperparameters are sought
SCALES = (0.3, 1.0, 3.0)  # length scales of the ops' parameters that are tried
DRAWN = 16  # hyperparameters over which beliefs are averaged
DRAWS = 2000  # of all values together, from one fixed generator
STEP = 1e-3  # of the numerical curvature of the loss
FLOOR = 1e-6  # the least variance of noise, as a multiple of the same: equal rows cannot be inverted


@dataclass(frozen=True)
class Beliefs:
    """What is believed of level 0 of every composition, on average over the seeds that were used there.

    ``mean`` [compositions] and ``covariance`` [compositions, compositions] are those of the true values. ``noise`` is
    the variance by which the mean of a new composition's trials differs from its true value.
    """

    mean: Array
    covariance: Array
    noise: float

    @property
    def spread(self) -> Array:
        """The standard deviation of the mean that trials of each composition would have, [compositions]."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0) + self.noise)

    @cached_property
    def draws(self) -> Array:
        """Draws of the true values of all compositions together, [DRAWS, compositions]: the same for equal beliefs."""
        values, vectors = np.linalg.eigh(self.covariance)
        # Unlike a Cholesky factor, the symmetric root exists for any covariance and is the only one.
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        standard = np.random.default_rng(0).standard_normal((DRAWS, len(values)))
        return np.asarray(self.mean + standard @ root)


def believe(compositions: Compositions, levels: Sequence[Sequence[BySeed]]) -> Beliefs:
    """Return the beliefs about all compositions that follow from the measurements of some.

    Args:
        compositions: all compositions, measured or not.
        levels: for every level, the values of every composition. Level 0 needs at least two compositions with values.
            Values of further levels are means over as many seeds as a composition has at level 0.
    """
    trials = _Trials.of(levels)
    scales = SCALES if compositions.varies else SCALES[1:2]
    models = [_Model(compositions.kernels(scale), trials) for scale in scales]
    modes = [model.mode() for model in models]
    best = min(range(len(models)), key=lambda number: modes[number][1])
    return models[best].average(modes[best][0])


@dataclass(frozen=True)
class _Trials:
    """Measurements, one entry of each array per measurement.

    ``ratio`` is the variance of its noise as a multiple of that of a trial: by the seeds of a composition if they are
    repeated, and one over their number at further levels. ``unit`` is the standard deviation of the compositions'
    means.
    """

    cell: NDArray[np.int64]
    seed: NDArray[np.int64]
    level: NDArray[np.int64]
    value: Array
    ratio: Array
    unit: float

    @classmethod
    def of(cls, levels: Sequence[Sequence[BySeed]]) -> _Trials:
        rows = [
            (cell, seed, level, value)
            for level, cells in enumerate(levels)
            for cell, values in enumerate(cells)
            for seed, value in values.items()
        ]
        cell, seed, level = (np.array(column, dtype=np.int64) for column in list(zip(*rows, strict=True))[:3])
        value = np.array([row[3] for row in rows], dtype=float)
        model, own = estimate({str(number): values for number, values in enumerate(levels[0])}), dict[str, float]()
        if model and not model.is_exact:
            own = dict(zip(model.labels, (model.variances / model.sigma**2).tolist(), strict=True))
        of_mean = 1 / max(map(len, levels[0]))
        ratio = np.array([own.get(str(row[0]), 1.0) if row[2] == 0 else of_mean for row in rows])
        means = [[np.mean(list(values.values())) for values in cells if values] for cells in levels]
        return cls(cell, seed, level, value, ratio, max(FLOOR, *(float(np.std(known)) for known in means)))


@dataclass(frozen=True)
class _Hyperparameters:
    """``weights`` [parts], the variances of seeds, noise and levels, and ``sizes`` [levels]; the first is 1."""

    weights: Array
    seed: float
    noise: float
    level: float
    sizes: Array


class _Model:
    """The model of ``trials`` for given kernels ``[parts, compositions, compositions]``, in units of their spread."""

    def __init__(self, kernels: Array, trials: _Trials) -> None:
        self.kernels, self.trials = kernels, trials
        self.value = trials.value / trials.unit
        # Flat, [parts, measurements * measurements]: tensordot would copy it for every product.
        self.among = kernels[:, trials.cell][:, :, trials.cell].reshape(len(kernels), -1)
        self.levels = int(trials.level.max()) + 1
        self.basis = (trials.level[:, None] == np.arange(self.levels)[None]).astype(float)
        self.same_level = self.basis @ self.basis.T
        self.same_seed = (trials.seed[:, None] == trials.seed[None]) * self.same_level
        there = {"level": self.levels > 1, "elsewhere": len(kernels) > len(PARTS)}
        names = [name for name in MEDIANS if there.get(name, True)]
        further = self.levels - 1
        self.variances = len(names)
        self.prior = np.array([*(math.log(MEDIANS[name]) for name in names), *[0.0] * further])
        self.sure = np.array([*[SPREAD] * len(names), *[OF_SIZES] * further])

    def read(self, theta: Array) -> _Hyperparameters:
        """Return the hyperparameters that ``theta`` holds as logarithms."""
        values, n = np.exp(theta), len(self.kernels)
        level = float(values[n + 2]) if self.levels > 1 else 0.0
        sizes = np.array([1.0, *values[self.variances :]])
        return _Hyperparameters(values[:n], float(values[n]), float(values[n + 1]), level, sizes)

    def solved(self, h: _Hyperparameters) -> tuple[Array, Array, Array]:
        """Return the covariance's Cholesky factor, its product with the kernel's part, and the scaled values."""
        own = (h.weights @ self.among).reshape(self.same_seed.shape)
        covariance = own * (1 + h.level * self.same_level) + h.seed * self.same_seed
        covariance += np.diag(h.noise * self.trials.ratio + FLOOR)
        return cholesky(covariance, lower=True), own, self.value / h.sizes[self.trials.level]

    def loss(self, theta: Array) -> tuple[float, Array]:
        """Return minus the logarithm of likelihood times priors, and its gradient."""
        h = self.read(theta)
        factor, own, scaled = self.solved(h)
        inverse = cho_solve((factor, True), np.eye(len(scaled)))
        by_level = inverse @ self.basis
        inner = self.basis.T @ by_level
        projected = inverse - by_level @ np.linalg.solve(inner, by_level.T)
        alpha, off = projected @ scaled, (theta - self.prior) / self.sure
        sizes = np.log(h.sizes)
        loss = (
            0.5 * float(scaled @ alpha + np.linalg.slogdet(inner)[1] + off @ off)
            + float(np.log(np.diag(factor)).sum())
            + float((self.basis.sum(axis=0) - 1) @ sizes)  # each level's flat mean takes one of its values
        )
        slope = 0.5 * (projected - np.outer(alpha, alpha))  # of the loss, by the covariance
        both = slope * (1 + h.level * self.same_level)
        gradient = [*(h.weights * (self.among @ both.ravel())), h.seed * float((slope * self.same_seed).sum())]
        gradient.append(h.noise * float(np.diag(slope) @ self.trials.ratio))
        if self.levels > 1:
            gradient.append(h.level * float((slope * own * self.same_level).sum()))
            gradient += list((self.basis.sum(axis=0) - 1 - (alpha * scaled) @ self.basis)[1:])
        return loss, np.array(gradient) + off / self.sure

    def mode(self) -> tuple[Array, float]:
        """Return the most likely hyperparameters, as logarithms, and their loss."""
        reach = FARTHEST * self.sure
        bounds = list(zip(self.prior - reach, self.prior + reach, strict=True))
        found = minimize(self.loss, self.prior, jac=True, method="L-BFGS-B", bounds=bounds)
        return np.asarray(found.x), float(found.fun)

    def average(self, mode: Array) -> Beliefs:
        """Return the beliefs averaged over the hyperparameters that are likely about their ``mode``.

        With the most likely ones alone, intervals are too narrow: few compositions say little about a dozen variances.
        """
        several = [self.beliefs(self.read(theta)) for theta in self.likely(mode)]
        means = np.array([one.mean for one in several])
        covariance = np.mean([one.covariance for one in several], axis=0) + np.cov(means.T, ddof=0)
        return Beliefs(means.mean(axis=0), covariance, float(np.mean([one.noise for one in several])))

    def likely(self, mode: Array) -> Array:
        """Draw hyperparameters, ``[DRAWN, hyperparameters]``, from the normal distribution with the loss's curvature.

        They are the same draws for the same ``mode``, in pairs that are symmetric about it.
        """
        steps = STEP * np.eye(len(mode))
        slopes = [self.loss(mode + step)[1] - self.loss(mode - step)[1] for step in steps]
        curvature = np.array(slopes) / (2 * STEP)
        values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
        # Likelihood can only add to what the priors say, but at a bound or a flat place the curvature is less.
        root = (vectors / np.sqrt(np.maximum(values, 1 / self.sure.max() ** 2))) @ vectors.T
        half = np.random.default_rng(0).standard_normal((DRAWN // 2, len(mode))) @ root
        return np.asarray(mode + np.concatenate([half, -half]))

    def beliefs(self, h: _Hyperparameters) -> Beliefs:
        """Return the beliefs with given hyperparameters: universal kriging, since the means are unknown too."""
        factor, _, scaled = self.solved(h)
        trials, basis, at_0 = self.trials, self.basis, self.basis[:, 0]
        seeds = len(np.unique(trials.seed[trials.level == 0]))
        weighted = np.tensordot(h.weights, self.kernels, 1)
        across = weighted[:, trials.cell] * (1 + h.level * at_0) + h.seed / seeds * at_0
        own = weighted * (1 + h.level) + h.seed / seeds
        solved = cho_solve((factor, True), np.column_stack([across.T, basis, scaled]))
        by_cell, by_level, by_value = solved[:, : len(own)], solved[:, len(own) : -1], solved[:, -1]
        inner = np.linalg.inv(basis.T @ by_level)
        means = inner @ (basis.T @ by_value)
        left = np.eye(self.levels)[[0]] - by_cell.T @ basis
        mean = means[0] + across @ (by_value - by_level @ means)
        covariance = own - across @ by_cell + left @ inner @ left.T
        square = trials.unit**2
        return Beliefs(mean * trials.unit, covariance * square, h.noise / seeds * square)
