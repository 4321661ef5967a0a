"""Train a sweep in rounds of seeds: train, compare, drop, until the comparison is decided. The same command resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan
from ablate.console import counted, say
from ablate.errors import ExitCode
from ablate.report.data.results import read_sweep
from ablate.report.stats.rounds import comparison
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.lock import sole_user
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.rounds import after, cells_left
from ablate.sweep.survey import survey

Train = Callable[[SweepPlan], int]
"""A function that runs all missing trials, here or on a cluster, and returns an exit code."""


def run_rounds(directory: Path, experiment: SweepPlan, train: Train, console: Console) -> int:
    """Train round after round until the comparison of the cells is decided.

    A round is a barrier: which cells get more seeds depends on the results of whole rounds alone, whatever the number
    of workers and interruptions. Every comparison is kept in the plan, so none is made twice.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan, as it was asked for.
        train: the function that runs all missing trials.
        console: where to say which cells are left.

    Returns:
        The exit code of ``train`` if trials are missing; else 0, or 1 if trials have failed.
    """
    while True:
        code = train(experiment)
        whole = merge_with_existing(directory, experiment)
        state = survey(directory, plan(whole))
        if state.missing:
            return code or ExitCode.FAILED  # the training stopped and has given the reason
        found = comparison(read_sweep(directory))
        experiment = after(whole, found)
        with sole_user(directory):
            save_plan(directory, experiment)
        if found.why:
            return ExitCode.FAILED if state.failed else ExitCode.DONE
        left, cells = len(cells_left(experiment)), len(cells_left(whole))
        said = f"{left} of {counted(cells, 'cell')} may still be the best" if left < cells else "no cell is dropped"
        say(console, f"after {counted(len(whole.seeds), 'seed')}: {said}; next: {len(experiment.seeds)} seeds")
