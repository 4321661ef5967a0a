"""Pixel-sized randomness from one 64-bit seed per image, by a counter hash, so that drawn parameters stay small."""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64: splitmix64's increment
MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
BITS = 24  # bits of a float32 mantissa
FEW = 4.0  # mean below which a Poisson number is found by adding up probabilities
TERMS = 20  # of that sum: the others are below 1e-8


def normal(seed: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return ``[n, count]`` independent standard normals from ``seed`` int64 ``[n]``: splitmix64, then Box-Muller."""
    pairs = (count + 1) // 2
    bits = _splitmix64(seed, pairs)
    radius = (-2 * _uniform(bits, 64 - BITS, dtype).log()).sqrt()
    angle = (2 * math.pi) * _uniform(bits, 64 - 2 * BITS, dtype)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]


def poisson(seed: Tensor, mean: Tensor) -> Tensor:
    """Return independent Poisson numbers with these means, as floats.

    They are the quantiles of :func:`normal` numbers: below a mean of 4 exactly, by adding up probabilities; above by
    the asymptotic expansion of Giles (2016, "Algorithm 955"), which misses the number by one in fewer than 2 of 1000.

    Args:
        seed: int64 ``[n]``.
        mean: float ``[n, count]``, at least 0.
    """
    w = normal(seed, mean.shape[1], mean.dtype)
    counts, few = _many(w, mean.clamp_min(FEW)), mean < FEW
    if mean.device.type == "cpu":  # a data-dependent shape costs nothing here, but on CUDA would wait
        counts[few] = _few(w[few], mean[few])
        return counts
    return torch.where(few, _few(w, mean.clamp_max(FEW)), counts)


def _few(w: Tensor, mean: Tensor) -> Tensor:
    """Return how many of the first cumulative probabilities are below the one of the normal number ``w``."""
    uniform, term = torch.special.ndtr(w), (-mean).exp()
    total, count = term.clone(), torch.zeros_like(term)
    for k in range(1, TERMS + 1):
        count += uniform > total
        term *= mean / k
        total += term
    return count


def _many(w: Tensor, mean: Tensor) -> Tensor:
    """Return Giles's approximation of the quantile that belongs to the normal number ``w``."""
    root, square = mean.sqrt(), w * w
    third = (-8 / 405 + square * (7 / 810 + square / 270)) / mean
    quantile = mean + root * w + (1 / 3 + square / 6) - w * (1 / 36 + square / 72) / root + third
    return quantile.floor_().clamp_min_(0)


def _splitmix64(seed: Tensor, count: int) -> Tensor:
    """Return the first ``count`` outputs of splitmix64 (Steele et al. 2014) per seed: int64 ``[n, count]``, wrapped."""
    z = seed[:, None] + GOLDEN * torch.arange(1, count + 1, device=seed.device)
    z = (z ^ _shift(z, 30)) * MIX_1
    z = (z ^ _shift(z, 27)) * MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, by: int) -> Tensor:
    """Shift right without sign (logically); torch's own shift is arithmetic."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _uniform(bits: Tensor, position: int, dtype: torch.dtype) -> Tensor:
    """Return 24 of the bits, from ``position``, as a number in (0, 1)."""
    return ((_shift(bits, position) & ((1 << BITS) - 1)).to(dtype) + 0.5) / (1 << BITS)
