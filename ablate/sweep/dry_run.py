"""What a sweep would do and cost, said before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment, Trial
from ablate.console import say
from ablate.sweep.estimate import trial_seconds
from ablate.sweep.eta import clock, remaining_seconds
from ablate.sweep.plan import plan
from ablate.sweep.prune import cost, told
from ablate.sweep.run import State, summary, survey

MOST_NAMES = 60
"""Cells that are named; a sweep of triples has thousands."""


def print_plan(directory: Path, experiment: Experiment, retry_failed: bool, console: Console) -> State:
    """Print the counts and the names of the cells; returns what the disk says of the trials."""
    trials = plan(experiment)
    state = survey(directory, trials, prunes=bool(experiment.prune))
    say(console, f"sweep directory: {directory}")
    say(console, summary(trials, state, retry_failed))
    if experiment.prune:
        say(console, f"pruned after epoch {told(experiment)}: {cost(experiment):.0%} of the cells' training is left")
    names = cell_names(trials)
    listed = [*names[:MOST_NAMES], f"... and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else names
    say(console, f"cells: {', '.join(listed)}")
    return state


def cell_names(trials: Sequence[Trial]) -> list[str]:
    """What is trained, each once, whatever the seed and the point on further axes; without references."""
    cells = (trial for trial in trials if trial.reference is None)
    return list(dict.fromkeys(trial.label.removesuffix(_point(trial)) for trial in cells))


def _point(trial: Trial) -> str:
    return ", " + ", ".join(f"{name}={value}" for name, value in trial.point.items()) if trial.point else ""


def show_plan(
    directory: Path, experiment: Experiment, devices: list[str], cache: Path, retry_failed: bool, console: Console
) -> None:
    """Print the plan and, measured here, the time that it takes; write nothing."""
    state = print_plan(directory, experiment, retry_failed, console)
    show_cost(experiment, state, devices, cache, retry_failed, console)


def show_cost(
    experiment: Experiment, state: State, devices: list[str], cache: Path, retry_failed: bool, console: Console
) -> None:
    """Print the time that what is left takes, measured here; nothing where nothing is left."""
    waiting = sum(trial.reference != "untrained" for trial in state.missing) + len(state.failed) * retry_failed
    if waiting:
        at_once = devices[:waiting]
        each = trial_seconds(experiment, at_once, cache)
        left = remaining_seconds(each, waiting, (), len(at_once)) * (cost(experiment) if experiment.prune else 1)
        size = experiment.shared.world_size
        shared = f" of one process, shared by {size}" if size > 1 else ""
        say(
            console,
            f"estimated: {clock(each)} per trial (measured here on a few steps{shared}), {clock(left)} in all "
            f"with {len(at_once)} worker{'s' * (len(at_once) != 1)}",
        )
