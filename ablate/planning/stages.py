"""The stages of a sweep that is not trained at once: rungs of pruning, rounds of seeds, batches within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from ablate.config.experiment import WITHIN, Experiment
from ablate.config.sweep import CELLS_AT_A_TIME, Budgeted, NamedComposition, Rounds, Rung
from ablate.config.trial import TrialConfig
from ablate.data import DataSet
from ablate.errors import UsageError
from ablate.sweep.batches import MOST_CELLS, sequences
from ablate.sweep.budget import Budget
from ablate.sweep.prune import RUNGS


def rungs(wish: Experiment, shared: TrialConfig, data: DataSet) -> tuple[Rung, ...]:
    """Return the rungs at which cells are pruned; none without ``prune``.

    Raises:
        UsageError: the sweep cannot be pruned.
    """
    if not wish.prune:
        return ()
    least = next(epochs for epochs in count(1) if RUNGS[0].epoch(epochs))
    reasons = {
        "is for one setting: this experiment has axes": bool(wish.axes),
        f"compares cells by validation kNN, but {data.name} {data.lacks}": not data.classes,
        "is for trials of one process": shared.world_size > 1,
        f"needs at least {least} epochs, to compare cells before the end, not {shared.epochs}": shared.epochs < least,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UsageError(f"prune {reason}")
    return RUNGS


def rounds(wish: Experiment, cells: int) -> Rounds | None:
    """Return the rounds of seeds in which so many cells are compared; None if the seeds are fixed.

    Raises:
        UsageError: the sweep cannot be trained in rounds.
    """
    reasons = {
        "is for one setting: this experiment has axes; give a number of seeds": bool(wish.axes),
        "looks for the best composition, not for differences from a baseline: leave one out": wish.baseline is not None,
        "and prune do not go together: pruned cells have not been compared with further seeds": wish.prune,
        "compares compositions: give at least two": cells < 2,
    }
    for reason, holds in reasons.items():
        if wish.rounds and holds:
            raise UsageError(f"seeds auto {reason}")
    return wish.rounds


def budgeted(wish: Experiment, device: str, cells: Sequence[NamedComposition]) -> Budgeted | None:
    """Return the budget within which a model asks for cells, of which it has asked for none; None without a budget.

    Args:
        wish: the description.
        device: the device of the trials.
        cells: all cells that the budget could be spent on.

    Raises:
        UsageError: the budget is malformed, or the sweep cannot be trained within one.
    """
    if wish.budget is None:
        return None
    within = wish.within or WITHIN
    budget = Budget.parse(str(wish.budget), device, within / 100)
    reasons = {
        "is for one setting: this experiment has axes": bool(wish.axes),
        "looks for the best composition, not for differences from a baseline: leave one out": wish.baseline is not None,
        "and prune do not go together: the model compares cells that are trained to the end": wish.prune,
        "and seeds auto do not go together: give a number of seeds": wish.seeds == "auto",
        f"is for at most {MOST_CELLS} cells, not {len(cells)}: `ablate search` samples larger spaces": len(cells)
        > MOST_CELLS,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UsageError(f"budget {reason}")
    sequences(cells)
    return Budgeted(budget=budget.text, within=within, batch=wish.batch or CELLS_AT_A_TIME)
