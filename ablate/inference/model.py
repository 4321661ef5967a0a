"""The two-way model of cells that share their seeds, which gives the uncertainty of a cell's mean.

``y[cell, seed] = mu + cell + seed + noise``, fitted by least squares. Anything that a seed does to every cell alike
(its weights, its image order) is the seed's effect and not noise. Every cell has its own variance of the noise,
moderated by those of all others (:mod:`ablate.inference.variances`). All results are conditional on the data set and
its split, unless the covariance of the means over images is given (:mod:`ablate.inference.over_images`).

An interval that holds seeds and images has half the width that the root of the sum of both squared halves gives: the
method of variance estimates recovery (Zou and Donner 2008, *Statistics in Medicine* 27). It is therefore never narrower
than that of the seeds alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, stdtrit

from ablate.inference.adjusted import pseudoinverse
from ablate.inference.difference import EQUAL, Difference
from ablate.inference.dunnett import CONFIDENCE, TAIL, dunnett, dunnetts
from ablate.inference.over_images import OverImages
from ablate.inference.variances import moderated

POWER = 0.8
MOST_SEEDS = 1000
DRAWS, MOST_DRAWN = 4_000, 2_000_000  # draws of all means, and numbers drawn at most: many cells get fewer draws
LEAST = 0.5  # degrees of freedom that a cell needs for a variance of its own
Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwoWayModel:
    """The fit over ``labels``: ``means`` [cells], adjusted for seeds that a cell lacks, and their variances.

    ``variances`` [cells] are those of a single trial's noise, moderated, with ``freedom`` [cells] degrees of freedom;
    ``covariance`` [cells, cells] is that of the means; ``n`` [cells] counts seeds. ``sigma ** 2`` is the noise's
    variance over all cells, with ``df`` degrees of freedom. ``residuals`` and ``fitted`` are [observations].

    ``tail`` is the probability with which the comparisons with the best may err. ``among`` are the cells that can be
    the best; None: all of them. Both differ in rounds of seeds (:mod:`ablate.inference.rounds`). ``images`` is what
    other images would add to the noise of the means; None: all results are conditional on these images.
    """

    labels: tuple[str, ...]
    means: Array
    covariance: Array
    variances: Array
    freedom: Array
    n: tuple[int, ...]
    sigma: float
    df: int
    residuals: Array
    fitted: Array
    tail: float = TAIL
    among: frozenset[str] | None = None
    images: OverImages | None = None

    @cached_property
    def position(self) -> dict[str, int]:
        """The position of each label."""
        return {label: number for number, label in enumerate(self.labels)}

    @property
    def is_exact(self) -> bool:
        """True if all seeds show exactly the same differences: no noise was seen, which does not prove that it is 0."""
        return self.sigma < EQUAL

    def half_width(self, label: str) -> float:
        """Return half of the 95 % interval of a cell's mean, conditional on the seeds that were used."""
        i = self.position[label]
        return _t(self.freedom[i]) * math.sqrt(self.variances[i] / self.n[i])

    def contrast(self, weights: Mapping[str, float]) -> Difference:
        """Return ``sum(weight * mean)`` with its 95 % interval; the weights sum to 0, so that seeds cancel.

        The degrees of freedom are the harmonic mean of the cells', weighted by their share of the variance. That is
        less than Satterthwaite's, whose intervals are too narrow if cells share an estimated prior (simulated).
        """
        w = self._weights(weights)
        shares = w**2 * self._own
        freedom = float(shares.sum() / (shares / self.freedom).sum()) if shares.any() else float(self.df)
        return self._interval(w, _t(freedom), self.images.multiple() if self.images else 0.0, "two-way model")

    def contrasts(self, several: Sequence[Mapping[str, float]]) -> list[Difference]:
        """Return several contrasts, with intervals that hold all true values at once in 95 % of sweeps.

        See :meth:`contrast` for a single one. Half the width of an interval is a multiple of its standard error, the
        same for all: the 95 % point of the largest studentised deviation, simulated from the fitted model; the part of
        the images has a multiple of its own.
        """
        if not several:
            return []
        w = np.array([self._weights(weights) for weights in several])
        errors = np.sqrt(np.maximum(w**2 @ self._own, EQUAL**2))
        multiple = float(np.quantile(np.abs(self._deviations @ w.T / errors).max(axis=1), CONFIDENCE))
        of_images = self.images.multiple(w) if self.images else 0.0
        return [self._interval(row, multiple, of_images, "two-way model, jointly") for row in w]

    def difference(self, a: str, b: str) -> Difference:
        """Return the difference ``a`` minus ``b``."""
        return self.contrast({a: 1.0, b: -1.0})

    @cached_property
    def contenders(self) -> tuple[str, ...]:
        """The cells that cannot be told from the best by Hsu's multiple comparisons with the best (95 %), best first.

        A cell is one of them unless it lies below another by more than the one-sided Dunnett value times the standard
        error of their difference (J. C. Hsu, Multiple Comparisons, 1996, section 4.1). The value is the one for equal
        variances of the means, with the degrees of freedom of whichever of the two cells has fewer.
        """
        among = [i for i, label in enumerate(self.labels) if self.among is None or label in self.among]
        held = (self.highest[np.ix_(among, among)] >= -EQUAL).all(axis=1)
        order = sorted(np.array(among, dtype=int)[held], key=lambda i: -self.means[i])
        return tuple(self.labels[i] for i in order)

    @cached_property
    def highest(self) -> Array:
        """The upper bounds of the differences ``row - column`` of the true means, [cells, cells].

        Those of the best cell's row hold at once, except with probability ``tail``.
        """
        own = np.diag(self.covariance)
        errors = np.sqrt(np.maximum(own[:, None] + own[None] - 2 * self.covariance, 0.0))
        freedom = np.minimum(self.freedom[:, None], self.freedom[None])
        reach = dunnetts(len(self.labels) - 1, freedom, self.tail) * errors
        if self.images:
            reach = np.hypot(reach, self._among_images * self.images.errors)
        return np.asarray(self.means[:, None] - self.means[None] + reach)

    @property
    def _among_images(self) -> float:
        """Dunnett's value for the part of the images."""
        return dunnett(len(self.labels) - 1, self.images.df, self.tail) if self.images else 0.0

    @property
    def farthest(self) -> float:
        """How far a contender may at most lie below the best, as a fraction, with the confidence of the comparisons."""
        at = [self.position[label] for label in self.contenders]
        return float(self.highest[np.ix_(at, at)].max())

    @cached_property
    def p_best(self) -> dict[str, float]:
        """The probability that each cell is the best, which means that its true mean is the highest. They sum to 1.

        They are simulated from :attr:`believed`. Cells that are not among the contenders have 0. Without any noise in
        the results there is nothing to simulate from, and no cell has a probability.
        """
        if self.is_exact:
            return {}
        if len(self.contenders) == 1:  # drawing takes longer than all else
            return {label: float(label in self.contenders) for label in self.labels}
        means, spread = self.believed
        among = [self.position[label] for label in self.contenders]
        chances = np.zeros(len(self.labels))
        drawn = means + spread * self._standard[:, among]
        if self.images:  # the noise of the images is no cell's own: similar cells err on the same images
            own = np.diag(self.covariance)[among]
            noise = own + self.images.apart(among)
            kept = spread**2 / np.maximum(noise, EQUAL**2)
            drawn = means + np.sqrt(kept) * (
                np.sqrt(own) * self._standard[:, among] + self.images.draws(among, len(drawn))
            )
        chances[among] = np.bincount(drawn.argmax(axis=1), minlength=len(among)) / len(drawn)
        return dict(zip(self.labels, chances.tolist(), strict=True))

    @cached_property
    def believed(self) -> tuple[Array, Array]:
        """The estimates of the contenders' true means, shrunk since they were selected: mean and spread of each.

        The method is empirical Bayes. The true means are draws from one normal distribution. Its mean is the mean of
        the contenders' means, and its variance is their variance beyond the noise. At most the fraction (k - 1) / (k +
        1) of a difference between k contenders is taken away. That is its posterior mean under the prior 1 / (noise +
        variance) if no variance is seen, since a few means that lie close together do not show that they are equal. The
        order is that of :attr:`contenders`.
        """
        among = [self.position[label] for label in self.contenders]
        seen, noise = self.means[among], np.diag(self.covariance)[among]
        noise = noise + self.images.apart(among) if self.images else noise
        if len(among) == 1:
            return seen, np.zeros(1)
        apart = max(0.0, float(seen.var(ddof=1) - noise.mean()))
        most = (len(among) - 1) / (len(among) + 1)
        kept = 1 - np.minimum(noise / np.maximum(apart + noise, EQUAL**2), most)
        return seen.mean() + kept * (seen - seen.mean()), np.sqrt(kept * noise)

    def seeds_to_separate(self, a: str, b: str) -> int | None:
        """Return the seeds needed to tell two contenders apart in four of five sweeps, or None.

        The rule is that of :attr:`contenders`. The four of five are over the noise and over the possible true
        differences, by :attr:`believed`. The observed difference is too large on average, since the cells were selected
        as the best. Return None if more than a thousand seeds are needed, and for cells that are no contenders.
        """
        if not {a, b} <= set(self.contenders):
            return None
        means, spread = self.believed
        one, other = self.contenders.index(a), self.contenders.index(b)
        gap, unsure = abs(means[one] - means[other]), spread[one] ** 2 + spread[other] ** 2
        i, j = self.position[a], self.position[b]
        n = np.arange(2, MOST_SEEDS + 1)
        prior = min(self.freedom[i] - self.n[i], self.freedom[j] - self.n[j]) + 1
        df = np.clip(max(prior, 0.0) + n - 1, 1, (len(self.labels) - 1) * (n - 1))
        noise, error = (self.variances[i] + self.variances[j]) / n, self.images.errors[i, j] if self.images else 0.0
        reach = np.hypot(dunnetts(len(self.labels) - 1, df, self.tail) * np.sqrt(noise), self._among_images * error)
        scatter = np.maximum(np.sqrt(noise + error**2 + unsure), EQUAL**2)
        power = ndtr((gap - reach - EQUAL) / scatter) + ndtr((-gap - reach - EQUAL) / scatter)
        enough = np.flatnonzero(power >= POWER)
        return int(n[enough[0]]) if len(enough) else None

    @property
    def spread_p(self) -> float:
        """The p value of Breusch and Pagan's test (Koenker's form) for noise that changes with the fitted accuracy."""
        squares = self.residuals**2
        if self.sigma < EQUAL or np.ptp(self.fitted) < EQUAL or np.ptp(squares) < EQUAL * squares.max():
            return 1.0  # nothing can change; for two cells with two seeds all residuals are equally large
        r = float(np.corrcoef(squares, self.fitted)[0, 1])
        return float(chdtrc(1, len(squares) * r**2))

    @cached_property
    def _own(self) -> Array:
        """The part of each mean's variance that is its cell's own noise, [cells]; with all seeds the whole variance."""
        return np.asarray(self.variances / np.array(self.n))

    @cached_property
    def _standard(self) -> Array:
        """Draws of all means' deviations in standard errors, [draws, cells]: Student's t, the same draws each time."""
        rng = np.random.default_rng(0)
        shape = min(DRAWS, max(1, MOST_DRAWN // len(self.labels))), len(self.labels)
        return np.asarray(rng.standard_normal(shape) / np.sqrt(rng.chisquare(self.freedom, shape) / self.freedom))

    @property
    def _deviations(self) -> Array:
        return np.asarray(self._standard * np.sqrt(self._own))

    def _weights(self, weights: Mapping[str, float]) -> Array:
        w = np.zeros(len(self.labels))
        for label, weight in weights.items():
            w[self.position[label]] += weight
        return w

    def _interval(self, w: Array, multiple: float, of_images: float, how: str) -> Difference:
        mean = float(w @ self.means)
        half = multiple * math.sqrt(max(0.0, float(w @ self.covariance @ w)))
        if self.images:
            half = math.hypot(half, of_images * self.images.error(w))
            how = how.replace("two-way model", self.images.how) if self.images.alone else f"{how}, {self.images.how}"
        n = min(self.n[i] for i in np.flatnonzero(w)) if w.any() else 0
        return Difference(mean, mean - half, mean + half, n, how)


def estimate(
    values: Mapping[str, Mapping[int, float]],
    *,
    tail: float = TAIL,
    among: frozenset[str] | None = None,
    images: OverImages | None = None,
) -> TwoWayModel | None:
    """Fit the model to ``values[cell][seed]``; cells without values are left out.

    Args:
        values: accuracies by cell and seed, as fractions.
        tail: the probability with which the comparisons with the best may err.
        among: the cells that can be the best; None: all of them.
        images: the covariance of the means over images, if the results are to hold for other images too.

    Returns:
        The model; None if the data are too few: fewer than two cells, fewer than two seeds, or cells that share no
        seeds.
    """
    labels = tuple(label for label, known in values.items() if known)
    seeds = sorted({seed for known in values.values() for seed in known})
    y = np.array([[values[label].get(seed, math.nan) for seed in seeds] for label in labels])
    if min(y.shape, default=0) < 2:
        return None
    has = np.isfinite(y)
    n = has.sum(axis=1)
    df = int(has.sum()) - len(labels) - len(seeds) + 1
    per_cell = has / n[:, None]
    # Cells are eliminated first (their block is diagonal), which leaves one equation per seed.
    equations = np.diag(has.sum(axis=0).astype(float)) - has.T @ per_cell
    if df < 1 or np.linalg.matrix_rank(equations) < len(seeds) - 1:
        return None
    known = np.where(has, y, 0.0)
    inverse = pseudoinverse(equations)
    seed = inverse @ (known.sum(axis=0) - has.T @ (known.sum(axis=1) / n))
    by_seed = per_cell @ inverse
    means = known.sum(axis=1) / n - per_cell @ seed
    fitted = means[:, None] + seed[None]
    residuals = np.where(has, y - fitted, 0.0)
    sigma = math.sqrt(float((residuals**2).sum()) / df)
    # ``left`` sums the part of each variance that the fit leaves: (seeds - 1)(1 - 1 / cells) if no value is missing.
    used = 1 / n[:, None] + np.diag(inverse)[None] - 2 * by_seed + (by_seed * per_cell).sum(axis=1)[:, None]
    left = np.where(has, np.maximum(1 - used, 0.0), 0.0).sum(axis=1)
    freedom = np.minimum(n - 1, left * len(labels) / (len(labels) - 1))
    freedom = np.where(freedom < LEAST, 0.0, freedom)
    own = np.divide((residuals**2).sum(axis=1), left, out=np.zeros(len(labels)), where=freedom > 0)
    variances, freedom = moderated(own, freedom, df)
    of_seeds = np.diag(has.T @ variances) - (per_cell * variances[:, None]).T @ has
    covariance = np.diag(variances / n) + by_seed @ of_seeds @ by_seed.T
    counts = tuple(map(int, n))
    seen = residuals[has], fitted[has]
    over = images.of(labels) if images else None
    return TwoWayModel(labels, means, covariance, variances, freedom, counts, sigma, df, *seen, tail, among, over)


def _t(df: float) -> float:
    """Return Student's two-sided 95 % value."""
    return float(stdtrit(df, (1 + CONFIDENCE) / 2))
