"""Moderated variances: each cell's own noise, drawn towards that of all cells as far as these are alike.

As limma does for genes (Smyth 2004, "Linear models and empirical Bayes methods"): the cells' true variances are taken
as draws from a scaled inverse chi-squared distribution of ``d0`` degrees of freedom about ``s0 ** 2``, which is fitted
to the sample variances; where these differ no more than chance has it ``d0`` is infinite. One cell in ten may be an
exception, louder than the others, as in limma's robust form (Phipson et al. 2016): its distribution has one degree of
freedom, which leaves it nearly its own variance. A cell's prior is the mixture of both that its variance makes likely.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, gammaln, polygamma

EXCEPTIONS = 0.1  # of the cells, before their variances are seen
ROUNDS = 20  # in which exceptions and prior settle: far more than it takes
SMALLEST = 1e-5  # a variance, of the mean one: what is smaller comes of equal values, whose logarithm says nothing
Array = NDArray[np.float64]


def moderated(variances: Array, df: Array, pooled: float) -> tuple[Array, Array]:
    """Moderated variances and their degrees of freedom, both [cells].

    ``variances`` [cells] have ``df`` [cells] degrees of freedom, and are not looked at where that is 0; together they
    have ``pooled``, which no cell's can exceed.
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
    weight = df * rarity  # what a cell's own variance weighs against the prior's
    known = np.where(seen, variances, 0.0)
    with np.errstate(divide="ignore"):
        return (s0 + weight * known) / (1 + weight), np.minimum(1 / rarity + df, pooled)


def _prior(variances: Array, df: Array, weights: Array) -> tuple[float, float]:
    """``d0`` and ``s0 ** 2``, by the mean and variance of the logarithms of the sample variances."""
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
    """The probability of an exception, given a variance as a multiple of the prior's."""
    odd, usual = EXCEPTIONS * np.exp(_log_density(ratios, df, 1.0)), _log_density(ratios, df, d0)
    return np.asarray(odd / (odd + (1 - EXCEPTIONS) * np.exp(usual)))


def _log_density(ratios: Array, df: Array, d0: float) -> Array:
    """Of F with ``df`` and ``d0`` degrees of freedom; with infinite ``d0``, of chi squared over ``df``."""
    half = df / 2
    if math.isinf(d0):
        return np.asarray(half * np.log(half) - gammaln(half) + (half - 1) * np.log(ratios) - half * ratios)
    scale = half * np.log(df / d0) - betaln(half, d0 / 2)
    return np.asarray(scale + (half - 1) * np.log(ratios) - (half + d0 / 2) * np.log1p(df * ratios / d0))


def _inverse_trigamma(value: float) -> float:
    """Newton's method on one over trigamma, which is nearly straight (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        now = float(polygamma(1, y))
        step = now * (1 - now / value) / float(polygamma(2, y))
        y += step
        if abs(step) < 1e-8 * y:
            break
    return y
