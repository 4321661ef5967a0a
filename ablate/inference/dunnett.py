"""Dunnett's one-sided value for many treatments, each compared with one control."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
NODES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 40.0, 100.0, 400.0, 4000.0)
Array = NDArray[np.float64]


@lru_cache
def dunnett(comparisons: int, df: float) -> float:
    """Return the 95 % value for ``comparisons`` treatments with one control, for equal sizes.

    ``df`` are the degrees of freedom. P(all T_i <= d) for T_i = (Z_i - Z_0) / (sqrt(2) S) is, given Z_0 and S, a power
    of a normal probability; both are integrated by quadrature.
    """
    z, wz = np.polynomial.hermite_e.hermegauss(64)
    s, ws = _chi(df)

    def missing(d: float) -> float:
        inside = ndtr(d * math.sqrt(2) * s[:, None] + z[None]) ** comparisons
        return float(ws @ inside @ wz) / (float(wz.sum()) * float(ws.sum())) - CONFIDENCE

    tail = 1 - CONFIDENCE
    alone, bonferroni = (float(stdtrit(df, 1 - tail / n)) for n in (1, comparisons))
    return float(brentq(missing, 0.9 * alone, 1.1 * bonferroni, xtol=1e-5))


def dunnetts(comparisons: int, df: Array) -> Array:
    """Return :func:`dunnett` for every entry of ``df`` (at least 1), within 1 %.

    Its logarithm is interpolated over 1 / df.
    """
    inverse, logarithm = _table(comparisons)
    return np.asarray(np.exp(np.interp(1 / df, inverse, logarithm)))


@lru_cache
def _table(comparisons: int) -> tuple[Array, Array]:
    values = [math.log(dunnett(comparisons, df)) for df in reversed(NODES)]
    return 1 / np.array(NODES[::-1]), np.array(values)


def _chi(df: float) -> tuple[Array, Array]:
    """Return points and weights for S = sqrt(chi squared / df): the midpoints of 500 equal parts of its range."""
    width = 12 / math.sqrt(2 * df)
    s = np.linspace(max(1e-4, 1 - width), 1 + width, 501)
    s = (s[1:] + s[:-1]) / 2
    log_density = (df - 1) * np.log(s) - df * s**2 / 2
    return s, np.exp(log_density - log_density.max())
