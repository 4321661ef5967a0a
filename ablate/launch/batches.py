"""Train a grid in batches of cells, until the budget is spent or a better cell is unlikely; again to continue."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan
from ablate.console import counted, say
from ablate.errors import ExitCode
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.predicted import next_cells, outlook
from ablate.sweep.batches import asking_for, budget_of, first_cells, not_asked_for
from ablate.sweep.budget import UNLIKELY
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.plan import plan
from ablate.sweep.rounds import counted_points
from ablate.sweep.survey import survey

Train = Callable[[SweepPlan], int]
"""A function that runs all missing trials, here or on a cluster, and returns an exit code."""


def run_batches(directory: Path, experiment: SweepPlan, train: Train, console: Console) -> int:
    """Train batch after batch until the budget is spent, every cell is trained, or a better one is unlikely.

    A batch is a barrier: which cells are asked for depends on the results of whole batches alone, whatever the number
    of workers and interruptions. The plan holds every cell that was asked for, so none is asked for twice.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan with its first batch.
        train: the function that runs all missing trials.
        console: where to say which cells come next, and why it ends.

    Returns:
        The exit code of ``train`` if trials are missing; else 0, or 1 if trials have failed.
    """
    while True:
        code = train(experiment)
        whole = merge_with_existing(directory, experiment)
        state = survey(directory, plan(whole))
        if state.missing or (code and not state.failed):
            return code or ExitCode.FAILED  # the training stopped, or jobs were cancelled, and the reason was given
        experiment = with_next(directory, whole, console)
        if experiment == whole:
            return ExitCode.FAILED if state.failed else ExitCode.DONE


def with_next(directory: Path, experiment: SweepPlan, console: Console) -> SweepPlan:
    """Return a plan, all of whose trials have ended, with the next cells; unchanged if there are none.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        console: where to say which cells come next, or why there are none.
    """
    sweep = dataclasses.replace(read_sweep(directory), experiment=experiment)
    asked, budget = experiment.budgeted, budget_of(experiment)
    assert asked is not None
    cells = [sweep.records[t.id] for t in sweep.trials if t.reference is None and t.id in sweep.records]
    spent = budget.spent(cells)
    if not not_asked_for(experiment):
        say(console, f"all {counted(len(asked.cells), 'cell')} are trained")
        return experiment
    if spent >= budget.amount:
        say(console, f"the budget of {budget} is spent ({spent:.4g} used)")
        return experiment
    batch = asked.waiting or _proposed(sweep, console)
    whole = asking_for(experiment, batch, spent) if batch else experiment
    if whole.budgeted and (new := whole.budgeted.cells[len(asked.cells) :]):
        say(console, f"next: {', '.join(new)}")
    return whole


def _proposed(sweep: Results, console: Console) -> list[str]:
    """Return the next batch; say how likely a better cell is, and return nothing if it is unlikely."""
    asked, ahead = sweep.experiment.budgeted, outlook(sweep)
    assert asked is not None
    if ahead is None:
        return first_cells(sweep.experiment)
    about = f"that a cell that was not run is better than the best by more than {counted_points(asked.within)}"
    say(console, f"the probability {about}: {100 * ahead.better:.1f} %")
    if ahead.better < UNLIKELY:
        say(console, f"stop: it is below {100 * UNLIKELY:.0f} %; a smaller --within continues")
        return []
    return next_cells(sweep)
