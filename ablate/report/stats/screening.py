"""What a screening design says of each op: the mean of the cells without it against the mean of those with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablate.config.base import OpSpec
from ablate.config.sweep import NamedComposition
from ablate.console import counted
from ablate.planning.screening import Signs, is_design, largest_alias
from ablate.report.data.results import Results
from ablate.report.stats.effect import Effect, in_words
from ablate.report.stats.noise import held
from ablate.report.stats.order import order, ordered
from ablate.report.stats.words import judge, so_far
from ablate.sweep.again import checking_screening


@dataclass(frozen=True)
class Screening:
    """The ``ops`` of a recipe, and the ``signs`` [cells, ops] of its cells, ``labels``: 1 where an op stays, or -1."""

    ops: tuple[str, ...]
    labels: tuple[str, ...]
    signs: Signs


def screening_of(sweep: Results) -> Screening | None:
    """Return the design of a sweep; None if its cells are not a two-level design around its baseline."""
    cells = sweep.experiment.compositions
    whole = next((cell for cell in cells if cell.label == sweep.experiment.baseline), None)
    if whole is None or sweep.experiment.ops or any(_lacks(whole, cell) is None for cell in cells):
        return None
    ops = tuple(dict.fromkeys(op.name for op in whole.every_op))
    signs = np.array([[-1 if op in (_lacks(whole, cell) or ()) else 1 for op in ops] for cell in cells])
    return Screening(ops, tuple(cell.label for cell in cells), signs) if is_design(signs) else None


def effects_of(sweep: Results, screening: Screening) -> list[Effect]:
    """Return the effect of leaving out each op, in the order of the recipe; none while too few cells have results.

    Each is twice minus the op's coefficient in the least-squares fit of the cells' means by the signs. The intervals
    hold for all of them at once, simulated from the two-way model, in which cells with the same seed are paired.
    """
    ranking = order(sweep.grid)
    there = [label in ranking.scores for label in screening.labels]
    labels = [label for label, known in zip(screening.labels, there, strict=True) if known]
    terms = np.column_stack([np.ones(len(labels)), screening.signs[there]])
    if not labels or np.linalg.matrix_rank(terms) < terms.shape[1]:
        return []
    weights = -2 * np.linalg.pinv(terms)[1:]
    contrasts = [dict(zip(labels, row, strict=True)) for row in weights.tolist()]
    model = ranking.model
    differences = model.contrasts(contrasts) if model else [ranking.contrast(one) for one in contrasts]
    test = ordered(ranking.cells, sweep.grid.metric).scores
    return [
        Effect(f"without {op}", None, "removal", (op,), difference, _sum(row, [test.get(label) for label in labels]))
        for op, row, difference in zip(screening.ops, weights, differences, strict=True)
    ]


def findings(sweep: Results, screening: Screening) -> list[str]:
    """Return sentences on how ops are compared, on what each does, and on what the design mixes up."""
    effects = effects_of(sweep, screening)
    if not effects:
        return []
    cells, half = len(screening.labels), len(screening.labels) // 2
    start = (
        f"Screening of {counted(len(screening.ops), 'op')} by {counted(cells, 'cell')}{so_far(sweep)}: the mean of the "
        f"{half} cells without an op minus the mean of the {half} with it, in points of {judge(sweep.grid)}"
    )
    model = order(sweep.grid).model
    if model is None:
        return [f"{start}: one seed cannot tell any of these differences from noise; give more seeds."]
    alias = largest_alias(screening.signs)
    return [
        f"{start}, paired by seed; the 95 % intervals hold for all ops at once (simulated from the two-way model"
        f"{held(model)}).",
        *in_words(effects, sweep.grid.measure),
        "These are averages over cells that lack half of the other ops. An effect also holds up to "
        f"{100 * alias:.0f} % of any interaction of two other ops, so check what you decide in the whole recipe: "
        f"`{checking_screening(sweep.experiment)}`.",
    ]


def _lacks(whole: NamedComposition, other: NamedComposition) -> set[str] | None:
    """Return the names of the ops that ``other`` lacks; None if it differs from ``whole`` in more than that."""
    lacks = {op.name for op in whole.every_op} - {op.name for op in other.every_op}

    def kept(ops: tuple[OpSpec, ...]) -> tuple[OpSpec, ...]:
        return tuple(op for op in ops if op.name not in lacks)

    second = other.ops if other.second is None else other.second
    expected = kept(whole.ops), kept(whole.ops if whole.second is None else whole.second)
    return lacks if (other.ops, second) == expected else None


def _sum(weights: NDArray[np.float64], values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(weights @ np.array(known)) if len(known) == len(values) else None
