"""The two-way model of a grid: what a cell's mean is worth, when all cells share their seeds.

``y[cell, seed] = mu + cell + seed + noise``, with one variance of the noise for all cells, fitted by least squares.
What a seed does to every cell alike (its weights, its image order) is the seed's effect and not noise. Everything that
is said is conditional on the data set and its split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, ndtr, stdtrit

from ablate.report.grid import Cell

CONFIDENCE = 0.95
POWER = 0.8
MOST_SEEDS = 1000
EQUAL = 1e-9  # accuracies closer than this are one number
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean difference over ``n`` seeds with its 95 % interval; no interval below two seeds. Fractions."""

    mean: float
    low: float | None
    high: float | None
    n: int
    how: str = "paired by seed"

    def __str__(self) -> str:
        text = f"{100 * self.mean:+.1f} points"
        if self.low is None or self.high is None:
            return f"{text} (one seed)"
        return f"{text} [{100 * self.low:+.1f}, {100 * self.high:+.1f}] (95 %, {self.how}, n = {self.n})"


@dataclass(frozen=True)
class Model:
    """The fit over ``labels``: ``means`` [cells], adjusted for seeds that a cell lacks, and what they vary with.

    ``covariance`` [cells, cells] is of the means, in units of the noise's variance ``sigma ** 2``, which has ``df``
    degrees of freedom; ``n`` [cells] counts seeds. ``residuals`` and ``fitted`` are [observations].
    """

    labels: tuple[str, ...]
    means: Array
    covariance: Array
    n: tuple[int, ...]
    sigma: float
    df: int
    residuals: Array
    fitted: Array

    @cached_property
    def place(self) -> dict[str, int]:
        """Where a label stands."""
        return {label: number for number, label in enumerate(self.labels)}

    def half_width(self, label: str) -> float:
        """Half of the 95 % interval of a cell's mean, the seeds being the ones they are (pooled residual)."""
        return self._t * self.sigma / math.sqrt(self.n[self.place[label]])

    def contrast(self, weights: Mapping[str, float]) -> Difference:
        """``sum(weight * mean)`` with its 95 % interval; the weights sum to 0, so that seeds cancel."""
        w = np.zeros(len(self.labels))
        for label, weight in weights.items():
            w[self.place[label]] += weight
        mean = float(w @ self.means)
        half = self._t * self.sigma * math.sqrt(max(0.0, float(w @ self.covariance @ w)))
        n = min(self.n[self.place[label]] for label in weights)
        return Difference(mean, mean - half, mean + half, n, "pooled over all cells")

    def difference(self, a: str, b: str) -> Difference:
        """``a`` minus ``b``."""
        return self.contrast({a: 1.0, b: -1.0})

    @cached_property
    def contenders(self) -> tuple[str, ...]:
        """The cells that cannot be told from the best: Hsu's multiple comparisons with the best, 95 %; best first.

        A cell is one of them unless it lies below another by more than the one-sided Dunnett value times the standard
        error of their difference (J. C. Hsu, Multiple Comparisons, 1996, section 4.1). The value is the one for equal
        numbers of seeds; where they differ it is approximate.
        """
        d = dunnett(len(self.labels) - 1, self.df)
        variance = np.diag(self.covariance)[:, None] + np.diag(self.covariance)[None] - 2 * self.covariance
        upper = self.means[:, None] - self.means[None] + d * self.sigma * np.sqrt(np.maximum(variance, 0.0))
        order = sorted(np.flatnonzero((upper >= -EQUAL).all(axis=1)), key=lambda i: -self.means[i])
        return tuple(self.labels[i] for i in order)

    @property
    def spread_p(self) -> float:
        """The p value of Breusch and Pagan's test (Koenker's form) that the noise changes with the fitted accuracy."""
        squares = self.residuals**2
        if self.sigma < EQUAL or np.ptp(self.fitted) < EQUAL:
            return 1.0
        r = float(np.corrcoef(squares, self.fitted)[0, 1])
        return float(chdtrc(1, len(squares) * r**2))

    def seeds_to_separate(self, difference: float) -> int | None:
        """Seeds with which a true ``difference`` of two cells is found in four of five sweeps (t test, 5 %).

        None beyond a thousand.
        """
        cells = len(self.labels)
        for n in range(2, MOST_SEEDS + 1):
            df = (cells - 1) * (n - 1)
            quantiles = float(stdtrit(df, (1 + CONFIDENCE) / 2)) + float(stdtrit(df, POWER))
            if quantiles * self.sigma * math.sqrt(2 / n) <= abs(difference):
                return n
        return None

    @property
    def _t(self) -> float:
        return float(stdtrit(self.df, (1 + CONFIDENCE) / 2))


def fit(cells: Sequence[Cell], metric: str | None = None) -> Model | None:
    """The model of ``metric`` (default: the grid's own) over the cells with results.

    None where it cannot say anything: fewer than two cells, fewer than two seeds, or cells that share no seeds.
    """
    values = {cell.label: cell.seeds(metric) for cell in cells if cell.seeds(metric)}
    labels, seeds = tuple(values), sorted({seed for known in values.values() for seed in known})
    y = np.array([[values[label].get(seed, math.nan) for seed in seeds] for label in labels])
    if min(y.shape, default=0) < 2:
        return None
    has = np.isfinite(y)
    df = int(has.sum()) - len(labels) - len(seeds) + 1
    per_cell = has / has.sum(axis=1, keepdims=True)
    # Cells are eliminated first (their block is diagonal), which leaves one equation per seed.
    equations = np.diag(has.sum(axis=0).astype(float)) - has.T @ per_cell
    if df < 1 or np.linalg.matrix_rank(equations) < len(seeds) - 1:
        return None
    known = np.where(has, y, 0.0)
    inverse = np.linalg.pinv(equations, hermitian=True)
    seed = inverse @ (known.sum(axis=0) - has.T @ (known.sum(axis=1) / has.sum(axis=1)))
    means = known.sum(axis=1) / has.sum(axis=1) - per_cell @ seed
    covariance = np.diag(1 / has.sum(axis=1)) + per_cell @ inverse @ per_cell.T
    fitted = (means[:, None] + seed[None])[has]
    residuals = y[has] - fitted
    sigma = math.sqrt(float(residuals @ residuals) / df)
    return Model(labels, means, covariance, tuple(map(int, has.sum(axis=1))), sigma, df, residuals, fitted)


@lru_cache
def dunnett(comparisons: int, df: int) -> float:
    """The one-sided 95 % Dunnett value: ``comparisons`` treatments with one control, equal sizes, ``df``.

    P(all T_i <= d) for T_i = (Z_i - Z_0) / (sqrt(2) S) is, given Z_0 and S, a power of a normal probability; both are
    integrated by quadrature.
    """
    z, wz = np.polynomial.hermite_e.hermegauss(64)
    s, ws = _chi(df)

    def missing(d: float) -> float:
        inside = ndtr(d * math.sqrt(2) * s[:, None] + z[None]) ** comparisons
        return float(ws @ inside @ wz) / (float(wz.sum()) * float(ws.sum())) - CONFIDENCE

    return float(brentq(missing, 0.0, 200.0, xtol=1e-6))


def _chi(df: int) -> tuple[Array, Array]:
    """Points and weights for S = sqrt(chi squared / df): the midpoints of 2000 equal parts of its range."""
    width = 12 / math.sqrt(2 * df)
    s = np.linspace(max(1e-4, 1 - width), 1 + width, 2001)
    s = (s[1:] + s[:-1]) / 2
    log_density = (df - 1) * np.log(s) - df * s**2 / 2
    return s, np.exp(log_density - log_density.max())
