"""Means over seeds that can be compared although not every cell has every seed."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

ZERO = 1e-10  # eigenvalues smaller than this part of the largest are 0 but for rounding
Values = Mapping[str, Mapping[int, float]]
"""The value of every seed, by label."""


def connected(values: Values) -> list[list[str]]:
    """Group the labels that share seeds, directly or through others.

    Groups and labels keep their order.
    """
    groups: list[tuple[set[int], list[str]]] = []
    for label, known in values.items():
        touching = [group for group in groups if not group[0].isdisjoint(known)]
        seeds, labels = set(known), [label]
        for group in touching:
            seeds |= group[0]
            labels = [*group[1], *labels]
        at = groups.index(touching[0]) if touching else len(groups)
        groups = [group for group in groups if group not in touching]
        groups.insert(at, (seeds, labels))
    position = {label: number for number, label in enumerate(values)}
    return [sorted(labels, key=position.__getitem__) for _, labels in groups]


def largest(values: Values) -> list[str]:
    """Return the group of :func:`connected` with the most labels, or nothing without any values.

    Of several such groups it is the one with the most values.
    """
    groups = connected({label: known for label, known in values.items() if known})
    return max(groups, key=lambda group: (len(group), sum(len(values[label]) for label in group)), default=[])


def paired_mean(a: Mapping[int, float], b: Mapping[int, float]) -> float | None:
    """Return the mean of ``a`` minus ``b`` over the seeds that both have, or None if they share none."""
    shared = a.keys() & b.keys()
    return statistics.fmean(a[seed] - b[seed] for seed in sorted(shared)) if shared else None


def adjusted(values: Values) -> dict[str, float]:
    """Return the means over seeds of a connected group, adjusted for the seeds that a label lacks.

    The means are the least-squares solution of ``value = label + seed``, in which the effects of the seeds sum to 0
    over the seeds. A label that has every seed keeps its plain mean, and any other gets the mean it would have with
    every seed. They are the means of :func:`ablate.inference.model.estimate`.
    """
    if _complete(values.values()):
        return {label: statistics.fmean(known.values()) for label, known in values.items()}
    seeds = sorted({seed for known in values.values() for seed in known})
    y = np.array([[known.get(seed, np.nan) for seed in seeds] for known in values.values()])
    has = np.isfinite(y)
    n, means = has.sum(axis=1), np.nanmean(y, axis=1)
    share = has / n[:, None]
    # Labels are eliminated first (their block is diagonal), which leaves one equation per seed.
    equations = np.diag(has.sum(axis=0).astype(float)) - has.T @ share
    # The solutions differ by a constant; the pseudoinverse gives the one that sums to 0.
    effects = pseudoinverse(equations) @ (np.nansum(y, axis=0) - has.T @ means)
    return dict(zip(values, (means - share @ effects).tolist(), strict=True))


def pseudoinverse(equations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pseudoinverse of the symmetric equations of the seeds, [seeds, seeds].

    One eigenvalue is 0, since a constant can move from seeds to cells. NumPy's own limit of 1e-15 takes its rounding
    error for a value in one case of some hundred, and the means become those of noise.
    """
    return np.asarray(np.linalg.pinv(equations, rcond=ZERO, hermitian=True))


def _complete(known: Collection[Mapping[int, float]]) -> bool:
    return len({frozenset(seeds) for seeds in known}) <= 1
