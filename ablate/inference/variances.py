"""Moderated variances: each cell's own noise, drawn towards that of all cells in so far as these are alike.

The method is that of limma for genes (Smyth 2004, "Linear models and empirical Bayes methods"). The cells' true
variances are taken as draws from a scaled inverse chi-squared distribution about ``s0 ** 2`` with ``d0`` degrees of
freedom, which is fitted to the sample variances. If these differ no more than by chance, ``d0`` is infinite. One cell
in ten may be an exception, louder than the others, as in limma's robust form (Phipson et al. 2016). Its distribution
has one degree of freedom, so that the cell nearly keeps its own variance. The prior of a cell is the mixture of both
that its variance makes likely.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, gammaln, polygamma

EXCEPTIONS = 0.1  # the fraction of exceptions among the cells, before their variances are seen
ROUNDS = 20  # rounds in which exceptions and prior settle: far more than are needed
SMALLEST = 1e-5  # the least variance, as a fraction of the mean one: equal values give smaller, meaningless ones
Array = NDArray[np.float64]


def moderated(variances: Array, df: Array, pooled: float) -> tuple[Array, Array]:
    """Return moderated variances and their degrees of freedom, both [cells].

    Args:
        variances: the sample variances, [cells].
        df: their degrees of freedom, [cells]; a variance with 0 of them is ignored.
        pooled: the degrees of freedom of all variances together, which no cell's can exceed.
    """
    seen = df > 0
    if not seen.any() or not variances[seen].any():
        return np.zeros(len(df)), np.full(len(df), pooled)
    own, d = variances[seen], df[seen]
    own = np.maximum(own, SMALLEST * own.mean())
    odd = np.zeros(len(own))
    for _ in range(ROUNDS):
        d0, s0 = _prior(own, d, 1 - odd)
        odd = np.where(own > s0, _odds(own / s0, d, d0), 0.0)
    exceptional = np.full(len(df), EXCEPTIONS)
    exceptional[seen] = odd
    rarity = (1 - exceptional) / d0 + exceptional  # one over the prior's degrees of freedom
    weight = df * rarity  # the weight of a cell's own variance against the prior's
    known = np.where(seen, variances, 0.0)
    with np.errstate(divide="ignore"):
        return (s0 + weight * known) / (1 + weight), np.minimum(1 / rarity + df, pooled)


def _prior(variances: Array, df: Array, weights: Array) -> tuple[float, float]:
    """Estimate ``d0`` and ``s0 ** 2`` from the mean and variance of the logarithms of the sample variances."""
    total = float(weights.sum())
    logs = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    mean = float(weights @ logs) / total
    spread = float(weights @ (logs - mean) ** 2) / max(total - 1, 1e-9)
    beyond = spread - float(weights @ polygamma(1, df / 2)) / total
    if beyond <= 0:
        return math.inf, float((weights * df) @ variances / (weights @ df))
    d0 = 2 * _inverse_trigamma(beyond)
    return d0, math.exp(mean + float(digamma(d0 / 2)) - math.log(d0 / 2))


def _odds(ratios: Array, df: Array, d0: float) -> Array:
    """Return the probability of an exception, given a variance as a multiple of the prior's."""
    odd, usual = EXCEPTIONS * np.exp(_log_density(ratios, df, 1.0)), _log_density(ratios, df, d0)
    return np.asarray(odd / (odd + (1 - EXCEPTIONS) * np.exp(usual)))


def _log_density(ratios: Array, df: Array, d0: float) -> Array:
    """Return the log density of F with ``df`` and ``d0`` degrees of freedom.

    With infinite ``d0`` it is that of chi squared over ``df``.
    """
    half = df / 2
    if math.isinf(d0):
        return np.asarray(half * np.log(half) - gammaln(half) + (half - 1) * np.log(ratios) - half * ratios)
    scale = half * np.log(df / d0) - betaln(half, d0 / 2)
    return np.asarray(scale + (half - 1) * np.log(ratios) - (half + d0 / 2) * np.log1p(df * ratios / d0))


def _inverse_trigamma(value: float) -> float:
    """Invert trigamma by Newton's method on one over trigamma, which is nearly straight (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        now = float(polygamma(1, y))
        step = now * (1 - now / value) / float(polygamma(2, y))
        y += step
        if abs(step) < 1e-8 * y:
            break
    return y
