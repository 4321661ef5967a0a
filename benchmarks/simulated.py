"""Made-up grids of seven ops, on which the Gaussian process over compositions was designed: how its intervals hold.

``python -m benchmarks.simulated`` takes a minute or two. The committed grids and the paper's had no part in the design.
A grid is of one of these kinds:

- additive: every op and every pair has an effect on the logit of the accuracy;
- shortcuts: each op closes some of four shortcuts, and the first two give most only if both are closed;
- dominant: the better op decides, whatever stands beside it;
- flat: nothing follows from the ops, and the noise is as large as the differences;
- kernel: a draw from the kernel itself, with its prior medians.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ablate.config.base import OpSpec
from ablate.inference.gp import MEDIANS, believe
from ablate.inference.kernel import PARTS, Compositions

Array = NDArray[np.float64]
Truth = Callable[[np.random.Generator], Array]
OPS, SEEDS, GRIDS = 7, 3, 40
KNOWN = (8, 12, 16, 24, 36)
COVERAGE = 1.6449  # half a 90 % interval in standard deviations
CELLS = [*((op,) for op in range(OPS)), *itertools.permutations(range(OPS), 2)]
COMPOSITIONS = Compositions([[OpSpec(name=str(op), version=1, params={}) for op in cell] for cell in CELLS])
KERNEL = np.tensordot([MEDIANS[name] for name in PARTS], COMPOSITIONS.kernels(1.0), 1)


def additive(rng: np.random.Generator) -> Array:
    """Effects on the logit."""
    ops, both, order = rng.gamma(1, 1, OPS), _symmetric(rng), rng.normal(0, 0.15, (OPS, OPS))
    logits = np.array([sum(ops[list(c)]) + _of_pair(c, 0.4 * both + order) for c in CELLS])
    logits = (logits - logits.mean()) / logits.std()
    return np.asarray(1 / (1 + np.exp(0.5 - logits * rng.uniform(0.5, 1.3))))


def shortcuts(rng: np.random.Generator) -> Array:
    """Shortcuts that ops close, and the harm that ops do."""
    closes, harm, gain = rng.random((OPS, 4)) ** 3, rng.gamma(0.5, 0.08, OPS), rng.dirichlet(np.ones(4)) * 0.7
    order = rng.normal(0, 0.02, (OPS, OPS))
    closed = [1 - np.prod(1 - closes[list(c)], axis=0) for c in CELLS]
    values = [
        0.1 + 0.35 * gain @ part + 0.45 * part[0] * part[1] - harm[list(c)].sum() + _of_pair(c, order)
        for c, part in zip(CELLS, closed, strict=True)
    ]
    return np.clip(np.array(values), 0.01, 0.99)


def dominant(rng: np.random.Generator) -> Array:
    """The better op decides."""
    ops, between = rng.beta(1, 2, OPS) * 0.8, 0.05 * _symmetric(rng) + rng.normal(0, 0.02, (OPS, OPS))
    values = [0.7 * max(ops[list(c)]) + 0.3 * ops[list(c)].mean() + _of_pair(c, between) for c in CELLS]
    return np.clip(np.array(values), 0.0, 1.0)


def flat(rng: np.random.Generator) -> Array:
    """Values of one point about 60 %."""
    return 0.6 + rng.normal(0, 0.01, len(CELLS))


def kernel(rng: np.random.Generator) -> Array:
    """A draw from the kernel."""
    return 0.5 + 0.1 * rng.multivariate_normal(np.zeros(len(CELLS)), KERNEL)


KINDS: tuple[Truth, ...] = (additive, shortcuts, dominant, flat, kernel)


def _symmetric(rng: np.random.Generator) -> Array:
    drawn = rng.normal(0, 1, (OPS, OPS))
    return np.asarray((drawn + drawn.T) / np.sqrt(2))


def _of_pair(cell: tuple[int, ...], effects: Array) -> float:
    return float(effects[cell]) if len(cell) == 2 else 0.0


def grid(kind: Truth, number: int) -> Array:
    """The values of a made-up grid, ``[cells, seeds]``: unequal noise, and seeds that act on all cells alike."""
    rng = np.random.default_rng([number, KINDS.index(kind)])
    truth = kind(rng)
    noise = rng.uniform(0.003, 0.03) * np.exp(rng.normal(0, 0.5, len(truth)))
    return np.asarray(
        truth[:, None] + rng.normal(0, 0.01, SEEDS) + noise[:, None] * rng.normal(size=(len(truth), SEEDS))
    )


def coverage(values: Array, compositions: Compositions, known: NDArray[np.int64]) -> tuple[float, float]:
    """The share of other cells' means within their 90 % interval, and the root mean square error.

    Args:
        values: ``[cells, seeds]``.
        compositions: those of the cells.
        known: the cells that the model is told.
    """
    told = set(known.tolist())
    beliefs = believe(
        compositions, [[dict(enumerate(row)) if c in told else {} for c, row in enumerate(values.tolist())]]
    )
    rest = np.setdiff1d(np.arange(len(values)), known)
    off = np.abs(values.mean(axis=1) - beliefs.mean)[rest]
    return float((off <= COVERAGE * beliefs.spread[rest]).mean()), float(np.sqrt((off**2).mean()))


def rows() -> list[str]:
    """The table, in Markdown: the share of held-out cells within 90 % intervals, by the number of known cells."""
    table = ["| known cells | " + " | ".join(map(str, KNOWN)) + " |", "| --- |" + " --: |" * len(KNOWN)]
    for kind in KINDS:
        held = [
            np.mean(
                [
                    coverage(grid(kind, i), COMPOSITIONS, np.random.default_rng(i).permutation(len(CELLS))[:n])[0]
                    for i in range(GRIDS)
                ]
            )
            for n in KNOWN
        ]
        table.append(f"| {kind.__name__} | " + " | ".join(f"{100 * share:.0f} %" for share in held) + " |")
    return table


if __name__ == "__main__":
    print("\n".join(rows()))
