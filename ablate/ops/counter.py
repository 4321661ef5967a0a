"""Pixel-sized randomness from one 64-bit seed per image, by a counter hash, so that drawn parameters stay small."""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64: splitmix64's increment
MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
BITS = 24  # bits of a float32 mantissa


def normal(seed: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return ``[n, count]`` independent standard normals from ``seed`` int64 ``[n]``: splitmix64, then Box-Muller."""
    pairs = (count + 1) // 2
    bits = _splitmix64(seed, pairs)
    radius = (-2 * _uniform(bits, 64 - BITS, dtype).log()).sqrt()
    angle = (2 * math.pi) * _uniform(bits, 64 - 2 * BITS, dtype)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]


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
