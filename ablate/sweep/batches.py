"""The plan of a grid that is trained in batches of cells within a budget: its cells, and what each batch adds."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np

from ablate.config.base import OpSpec
from ablate.config.sweep import NamedComposition, SweepPlan
from ablate.console import counted
from ablate.errors import UsageError
from ablate.inference.improvement import first_batch
from ablate.inference.kernel import Compositions
from ablate.rng import derive_seed
from ablate.sweep.budget import Budget
from ablate.sweep.plan import cells_of
from ablate.sweep.record import TrialResult

MOST_CELLS = 1000
"""The most cells that the model compares; its time grows with their third power."""


def sequences(cells: Iterable[NamedComposition]) -> dict[str, tuple[OpSpec, ...]]:
    """Return the ops of each cell by its label, as a model of compositions compares them.

    If all cells have the same first view, it is the second view's ops.

    Raises:
        UsageError: both views have ops of their own, and both differ between cells.
    """
    known = list(cells)
    if all(cell.second is None for cell in known):
        return {cell.label: cell.ops for cell in known}
    if odd := next((cell for cell in known if cell.ops != known[0].ops), None):
        two = odd if odd.second is not None else next(cell for cell in known if cell.second is not None)
        raise UsageError(
            f"budget needs cells that differ in one sequence of ops, but {two.label} has ops of its own for the second "
            "view: leave it out, or leave out the budget"
        )
    return {cell.label: cell.ops if cell.second is None else cell.second for cell in known}


def every_cell(experiment: SweepPlan) -> dict[str, tuple[OpSpec, ...]]:
    """Return the ops of every cell that the budget could be spent on, by its label, in plan order."""
    return sequences(cell for cell, _ in cells_of(experiment))


def not_asked_for(experiment: SweepPlan) -> list[str]:
    """Return the labels of the cells that the model has not asked for, in plan order; none without a budget."""
    asked = experiment.budgeted
    return [] if asked is None else [label for label in every_cell(experiment) if label not in asked.cells]


def first_cells(experiment: SweepPlan) -> list[str]:
    """Return the next batch of cells, while the model has too few results to propose any; the same one every time."""
    asked, cells = experiment.budgeted, every_cell(experiment)
    assert asked is not None
    compositions = Compositions(list(cells.values()), [prior.means for prior in asked.prior])
    free = np.array([label not in asked.cells for label in cells])
    generator = random.Random(derive_seed(0, "cells", len(asked.cells)))
    labels = list(cells)
    return [labels[place] for place in first_batch(compositions, free, asked.batch, generator)]


def started(experiment: SweepPlan) -> SweepPlan:
    """Return the plan with the first batch of cells if it has a budget and no cells yet; else return it unchanged."""
    if experiment.budgeted is None or experiment.budgeted.cells:
        return experiment
    return asking_for(experiment, first_cells(experiment), 0.0)


def asking_for(experiment: SweepPlan, batch: Sequence[str], spent: float) -> SweepPlan:
    """Return the plan with the cells of ``batch`` for which the budget suffices; the others of the batch wait.

    Args:
        experiment: the plan.
        batch: the labels of the next cells.
        spent: the spent part of the budget, in its unit. A batch that has begun exceeds hours rather than end early.
    """
    asked, budget = experiment.budgeted, budget_of(experiment)
    assert asked is not None
    room = len(batch)
    if budget.unit == "trials":
        room = math.ceil((budget.amount - spent) / len(experiment.seeds))
    cells = (*asked.cells, *batch[:room])
    return experiment.replace(budgeted=asked.replace(cells=cells, waiting=tuple(batch[room:])))


def budget_of(experiment: SweepPlan) -> Budget:
    """Return the budget of a plan that has one."""
    assert experiment.budgeted is not None
    return Budget.parse(experiment.budgeted.budget, experiment.shared.device, experiment.budgeted.within / 100)


def is_spent(experiment: SweepPlan, cells: Iterable[TrialResult]) -> bool:
    """Return True if the records of ``cells`` have spent the budget, or if every cell was asked for."""
    budget = budget_of(experiment)
    return not not_asked_for(experiment) or budget.spent(cells) >= budget.amount


def further_trials(experiment: SweepPlan) -> int:
    """Return how many trials of cells a budget in trials allows after the present batch; 0 for one in hours."""
    budget = budget_of(experiment)
    if budget.unit != "trials" or experiment.budgeted is None:
        return 0
    seeds = len(experiment.seeds)
    cells = min(math.ceil(budget.amount / seeds), len(every_cell(experiment))) - len(experiment.budgeted.cells)
    return max(0, cells) * seeds


def in_words(experiment: SweepPlan) -> str:
    """Return a sentence on the budget and the cells so far: the first lines of a plan."""
    assert experiment.budgeted is not None
    asked, cells = len(experiment.budgeted.cells), len(every_cell(experiment))
    return (
        f"budget: {budget_of(experiment)}, without references; {asked} of {counted(cells, 'cell')} asked for so far, "
        f"{experiment.budgeted.batch} at a time; it ends early if a better one is unlikely"
        f"{_known(experiment)}"
    )


def _known(experiment: SweepPlan) -> str:
    prior = experiment.budgeted.prior if experiment.budgeted else ()
    return f"; known beforehand: {', '.join(item.name for item in prior)}" if prior else ""


def progress_in_words(experiment: SweepPlan) -> str:
    """Return ``12 of 49 cells asked for, budget 16 trials``."""
    assert experiment.budgeted is not None
    asked, cells = len(experiment.budgeted.cells), counted(len(every_cell(experiment)), "cell")
    return f"{asked} of {cells} asked for, budget {budget_of(experiment)}"
