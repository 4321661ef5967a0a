"""The space of a search, and the coordinates of a composition in it. Needs no torch.

Optuna knows a point by the parameters ``length``, ``op1``, ``op2``, ... and, where they are searched,
``<op>.strength`` and ``<op>.p``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ablate.config.sweep import NamedComposition, NamedOp, Search
from ablate.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STEP = 0.05
"""Strengths and probabilities are multiples of this step: trials cannot tell finer steps apart."""


def check(search: Search) -> None:
    """Raise UsageError for an impossible space, or one whose points could not be told apart."""
    names = [op.op.name for op in search.ops]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two ops are called {twice!r}; a search takes each op once")
    if search.max_length > len(names):
        raise UsageError(f"--max-length must be at most {len(names)}, the number of ops, not {search.max_length}")
    for name, bounds in (("strength", search.strength), ("p", search.p)):
        for value in bounds or ():
            if abs(value / STEP - round(value / STEP)) > 1e-9:
                raise UsageError(f"--{name}: {value:g} must be a multiple of {STEP:g}, the step of the search")


def compositions(search: Search) -> list[int]:
    """Return the number of compositions of different ops in the space, by length, starting at one op."""
    return [math.perm(len(search.ops), length) for length in range(1, search.max_length + 1)]


def holds(search: Search, names: str) -> bool:
    """Return True if a composition of ops with these names, such as ``crop+color``, is in the space."""
    ops, known = names.split("+"), {op.op.name for op in search.ops}
    return len(ops) <= search.max_length and len(set(ops)) == len(ops) and known.issuperset(ops)


def tuned(search: Search, op: NamedOp) -> dict[str, tuple[float, float]]:
    """Return the parameters of ``op`` that are searched, with their bounds."""
    ranges = {"strength": search.strength, "p": search.p}
    return {name: bounds for name, bounds in ranges.items() if bounds and name in op.op.params}


def coordinates(search: Search, composition: NamedComposition) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return the parameters of a composition in the space, and the distribution of each."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    by_name = {op.op.name: op for op in search.ops}
    params: dict[str, Any] = {"length": len(composition.ops)}
    drawn: dict[str, BaseDistribution] = {"length": IntDistribution(1, search.max_length)}
    for number, spec in enumerate(composition.ops, start=1):
        op = by_name[spec.name]
        params[f"op{number}"] = op.label
        drawn[f"op{number}"] = CategoricalDistribution([op.label for op in search.ops])
        for name, (low, high) in tuned(search, op).items():
            params[f"{spec.name}.{name}"] = spec.params[name]
            drawn[f"{spec.name}.{name}"] = FloatDistribution(low, high, step=STEP)
    return params, drawn
