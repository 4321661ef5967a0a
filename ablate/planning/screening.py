"""Two-level screening designs: which ops of a long recipe stay in each cell, and what that mixes up."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ablate.errors import UsageError

FEWEST = 8
"""The smallest number of ops to screen: fewer are left out one by one at the same price."""
FIRST_RUNS = {12: "++-+++---+-", 20: "++--++++-+-+----++-", 24: "+++++-+-++--++--+-+----"}
"""The first run of each design by its number of runs (Plackett and Burman 1946); the others are its rotations.

Their design of 16 runs is left out: there an effect holds whole interactions of other pairs.
"""
Signs = NDArray[np.int64]
"""Runs of a design, ``[runs, ops]``: 1 where an op stays, -1 where it is left out."""


def design(ops: int) -> Signs:
    """Return the smallest design for so many ops, as ``[runs, ops]``; the first run has all of them.

    Every op stays in half of the runs, and every two ops stay together in a quarter of them. Signs are those of
    Plackett and Burman, reversed, so that one run has all ops and none has no op.

    Args:
        ops: the number of ops, :data:`FEWEST` to 23.

    Raises:
        UsageError: fewer or more ops.
    """
    most = max(FIRST_RUNS) - 1
    if not FEWEST <= ops <= most:
        why = "fewer are left out one by one, without --screen" if ops < FEWEST else "leave some out before"
        raise UsageError(f"--screen is for recipes of {FEWEST} to {most} ops, this one has {ops}: {why}")
    runs = min(runs for runs in FIRST_RUNS if runs > ops)
    first = [-1 if sign == "+" else 1 for sign in FIRST_RUNS[runs]]
    rows = [[1] * (runs - 1), *(first[-turn:] + first[:-turn] for turn in range(runs - 1))]
    return np.array(rows, dtype=np.int64)[:, :ops]


def is_design(signs: Signs) -> bool:
    """Return True if every column of ``signs``, [runs, ops], is balanced and orthogonal to every other one."""
    runs, ops = signs.shape
    products = signs.T @ signs
    return ops >= FEWEST and not signs.sum(axis=0).any() and bool((products == runs * np.eye(ops)).all())


def largest_alias(signs: Signs) -> float:
    """Return the largest share of the interaction of two ops that the effect of a third op holds, 0 to 1.

    Args:
        signs: a design, [runs, ops].
    """
    runs, ops = signs.shape
    triples = itertools.combinations(range(ops), 3)
    return float(max(abs((signs[:, a] * signs[:, b] * signs[:, c]).sum()) for a, b, c in triples) / runs)
