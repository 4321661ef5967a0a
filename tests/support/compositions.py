"""Compositions of ops that exist only by name."""

from __future__ import annotations

from ablate.config.base import OpSpec


def spec_of(name, **params):
    return OpSpec(name=name, version=1, params=params)


def of_names(*names):
    """``of_names("ab", "c")``: the composition a+b, and c alone."""
    return [[spec_of(op) for op in ops] for ops in names]
