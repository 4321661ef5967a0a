"""Dunnett's one-sided value for many treatments, each compared with one control."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
TAIL = 1 - CONFIDENCE
NODES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 40.0, 100.0, 400.0, 4000.0)
Array = NDArray[np.float64]
Z, Z_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)  # points and weights for a standard normal


@lru_cache
def dunnett(comparisons: int, df: float, tail: float = TAIL) -> float:
    """Return the value for ``comparisons`` treatments with one control, for equal sizes.

    P(all T_i <= d) for T_i = (Z_i - Z_0) / (sqrt(2) S) is, given Z_0 and S, a power of a normal probability; both are
    integrated by quadrature.

    Args:
        comparisons: the number of treatments.
        df: the degrees of freedom, at least 1.
        tail: the probability that any T_i exceeds the value, at least 1e-4.
    """
    s, ws = _chi(df)

    def missing(d: float) -> float:
        outside = 1 - ndtr(d * math.sqrt(2) * s[:, None] + Z[None]) ** comparisons
        return float(ws @ outside @ Z_WEIGHTS) / (float(Z_WEIGHTS.sum()) * float(ws.sum())) - tail

    alone, bonferroni = (float(stdtrit(df, 1 - tail / n)) for n in (1, comparisons))
    return float(brentq(missing, 0.9 * alone, 1.1 * bonferroni, xtol=1e-5))


def dunnetts(comparisons: int, df: Array, tail: float = TAIL) -> Array:
    """Return :func:`dunnett` for every entry of ``df`` (at least 1), within 1 %.

    Its logarithm is interpolated over 1 / df.

    Args:
        comparisons: the number of treatments.
        df: the degrees of freedom, of any shape.
        tail: the probability that any treatment exceeds its value.
    """
    inverse, logarithm = _table(comparisons, tail)
    return np.asarray(np.exp(np.interp(1 / df, inverse, logarithm)))


@lru_cache
def _table(comparisons: int, tail: float) -> tuple[Array, Array]:
    values = [math.log(dunnett(comparisons, df, tail)) for df in reversed(NODES)]
    return 1 / np.array(NODES[::-1]), np.array(values)


def _chi(df: float) -> tuple[Array, Array]:
    """Return points and weights for S = sqrt(chi squared / df): the midpoints of 500 parts of its range.

    The parts are equally long in log S, since small values of S decide the far tails with few degrees of freedom.
    """
    width = 12 / math.sqrt(2 * df)
    log_s = np.linspace(math.log(max(1e-5, 1 - width)), math.log(1 + width), 501)
    log_s = (log_s[1:] + log_s[:-1]) / 2
    log_density = df * (log_s - np.exp(2 * log_s) / 2)
    return np.exp(log_s), np.exp(log_density - log_density.max())
