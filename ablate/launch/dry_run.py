"""Show what a sweep would do and cost, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablate.config.at_hand import as_option, takes
from ablate.config.base import OpSpec
from ablate.config.measure import at_rungs
from ablate.config.presets import LAPTOP
from ablate.config.protocols import is_trained
from ablate.config.sweep import NamedComposition, SweepPlan, Trial
from ablate.console import clock, counted, say
from ablate.facts import note
from ablate.launch.room import room_of
from ablate.launch.steps import measure_trial
from ablate.launch.timing import TrialTime, remaining_seconds
from ablate.sweep import batches, rounds
from ablate.sweep.calibrations import quote
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan
from ablate.sweep.prune import cost, rungs_in_words
from ablate.sweep.survey import State, numbers, summary, survey

MOST_NAMES = 60
"""The most cells that are named; a sweep of triples has thousands."""


def print_plan(directory: Path, experiment: SweepPlan, retry_failed: bool, console: Console) -> State:
    """Print the counts and the names of the cells, and return the state of the trials on disk.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        retry_failed: True if failed trials would run again.
        console: where to print.
    """
    trials = plan(experiment)
    state = survey(directory, trials, prunes=bool(experiment.prune))
    say(console, f"sweep directory: {directory}")
    say(console, summary(trials, state, retry_failed))
    note_trials(directory, trials, state, retry_failed)
    if experiment.rounds:
        say(console, rounds.in_words(experiment))
    if experiment.budgeted:
        say(console, batches.in_words(experiment))
    if experiment.prune:
        left = f"{cost(experiment):.0%} of the cells' training is left"
        say(console, f"pruned after epoch {rungs_in_words(experiment)}: {left}{at_rungs(experiment.measure)}")
    names = cell_names(trials)
    listed = [*names[:MOST_NAMES], f"... and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else names
    say(console, f"cells: {', '.join(listed)}")
    say_quote(directory, experiment, console)
    return state


def note_trials(directory: Path, trials: Sequence[Trial], state: State, retry_failed: bool) -> None:
    """Keep the cells and the counts of a plan for ``--json``.

    Args:
        directory: the sweep's directory.
        trials: the trials of the plan.
        state: their state on disk.
        retry_failed: True if failed trials would run again.
    """
    references = [trial.reference for trial in trials if trial.reference]
    note(
        directory=str(directory),
        cells=cell_names(trials),
        references=list(dict.fromkeys(references)),
        seeds=sorted({trial.seed for trial in trials}),
        trials=numbers(trials, state, retry_failed),
    )


def stage_of(experiment: SweepPlan) -> str:
    """Return words for the part of the sweep whose cells are known: ``this round``, ``this batch`` or ``all``."""
    return "this round" if experiment.rounds else "this batch" if experiment.budgeted else "all"


def further_trials(experiment: SweepPlan) -> int:
    """Return how many trials may follow the present round or batch at most; 0 where that is not known."""
    return batches.further_trials(experiment) if experiment.budgeted else rounds.further_trials(experiment)


def say_quote(directory: Path, experiment: SweepPlan, console: Console) -> None:
    """Print what the calibration of a sweep beside this one found on the same images, if there is one."""
    if sentence := quote(directory, experiment):
        say(console, sentence)


def cell_names(trials: Sequence[Trial]) -> list[str]:
    """Return the name of each cell once, regardless of seeds and points on further axes; without references."""
    cells = (trial for trial in trials if trial.reference is None)
    return list(dict.fromkeys(trial.label.removesuffix(_point(trial)) for trial in cells))


def _point(trial: Trial) -> str:
    return ", " + ", ".join(f"{name}={value}" for name, value in trial.point.items()) if trial.point else ""


def show_plan(
    directory: Path, experiment: SweepPlan, devices: list[str], cache: Path, retry_failed: bool, console: Console
) -> None:
    """Print the plan and the time that it takes, as measured on this machine; write nothing.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        devices: the device of each worker.
        cache: where the decoded images are.
        retry_failed: True if failed trials would run again.
        console: where to print.
    """
    state = print_plan(directory, experiment, retry_failed, console)
    show_cost(experiment, state, devices, cache, retry_failed, console)


def show_cost(
    experiment: SweepPlan, state: State, devices: list[str], cache: Path, retry_failed: bool, console: Console
) -> None:
    """Print the time and memory that the remaining trials take; print nothing if none remain.

    Args:
        experiment: the sweep's plan.
        state: the state of its trials on disk.
        devices: the device of each worker.
        cache: where the decoded images are.
        retry_failed: True if failed trials would run again.
        console: where to print.
    """
    waiting = sum(trial.reference != "untrained" for trial in state.missing) + len(state.failed) * retry_failed
    if not waiting:
        return
    at_once = devices[:waiting]
    trial_time, left, longest = measured(experiment, at_once[0], cache, console), None, None
    if trial_time.seconds is not None:
        left = remaining_seconds(trial_time.seconds, waiting, (), len(at_once))
        left *= cost(experiment) if experiment.prune else 1
        beside = ", if each is as fast beside the others as alone" if len(at_once) > 1 else ""
        say(
            console,
            f"estimated: {clock(trial_time.seconds)} per trial ({trial_time.how}), {clock(left)} in "
            f"{stage_of(experiment)} with {counted(len(at_once), 'worker')}{beside}",
        )
        if more := further_trials(experiment):
            longest = left + remaining_seconds(trial_time.seconds, more, (), len(devices))
            unless = ", if no further cell is dropped" if experiment.rounds else ""
            say(console, f"at most {clock(longest)} in all{unless}")
    note_time(trial_time, len(at_once), left, longest)
    show_memory(experiment, len(at_once), cache, console)


def note_time(
    each: TrialTime, workers: int, seconds: float | None = None, seconds_at_most: float | None = None
) -> None:
    """Keep the estimated time for ``--json``.

    Args:
        each: the time of a trial.
        workers: how many trials run side by side.
        seconds: the time of all trials of this stage; None if it is not known.
        seconds_at_most: the time with all further stages; None if there are none.
    """
    whole = {"workers": workers, "seconds": seconds, "seconds_at_most": seconds_at_most}
    note(estimate={"seconds_per_trial": each.seconds, "how": each.how, **whole})


def measured(experiment: SweepPlan, device: str, cache: Path, console: Console) -> TrialTime:
    """Measure how long a trial takes here, and print that it is being measured, and what speaks against the result.

    Args:
        experiment: the sweep's plan.
        device: the device to measure on.
        cache: where the decoded images are.
        console: where to print.
    """
    say(console, "measuring a few steps ...")
    busy = about_load() if device == "cpu" else ""  # before the measurement, which is a load itself
    trial_time = measure_trial(experiment, device, cache)
    if busy:
        say(console, busy, "yellow")
    if trial_time.seconds is None:
        least = f", so a trial takes more than about {clock(trial_time.at_least)}" if trial_time.at_least else ""
        say(console, f"no estimate: {trial_time.how}{least}", "yellow")
    elif takes("preset") and trial_time.laptop is not None and trial_time.laptop < trial_time.seconds / 2:
        long, short, laptop = clock(trial_time.seconds), clock(trial_time.laptop), as_option("preset", LAPTOP.name)
        say(console, f"this takes {long} per trial on this CPU; {laptop}: about {short}", "yellow")
    left_out = [spec for spec in experiment.protocols if is_trained(spec)]
    if left_out and trial_time.seconds is not None:
        say(console, f"the estimate leaves out protocols that train: {', '.join(left_out)}")
    further = [task.name for task in experiment.tasks[1:]]
    if further and trial_time.seconds is not None:
        say(console, f"the estimate leaves out the linear evaluation of further tasks: {', '.join(further)}")
    return trial_time


def about_load() -> str:
    """Return a sentence if, by the load average of the last minute, other processes keep every core busy."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < cores:
        return ""
    return (
        f"this machine is busy (load average {load:.1f} on {counted(cores, 'core')}), so the estimate may be too long"
    )


def show_memory(experiment: SweepPlan, workers: int, cache: Path, console: Console) -> None:
    """Print the peak memory of the workers and if it fits; print nothing if it is not known.

    Args:
        experiment: the sweep's plan.
        workers: how many trials run side by side.
        cache: where the decoded images are.
        console: where to print.
    """
    if room := room_of(experiment, workers, cache):
        say(console, str(room))
        fits = room.each * room.workers <= room.free
        note(memory={"bytes_per_worker": room.each, "workers": room.workers, "bytes_free": room.free, "fits": fits})
        if room.warning:
            say(console, room.warning, "yellow")


def show_trial(
    trial: Trial, protocols: Sequence[str], data: str, crop: OpSpec, cache: Path, directory: Path, console: Console
) -> None:
    """Print the output of ``ablate train --dry-run``, and write nothing.

    It says that the trial is done or, if it is not, how long it takes here.

    Args:
        trial: the trial.
        protocols: the protocols by which it would be evaluated.
        data: the data set, as given to ``--data``.
        crop: the op of that name, which an experiment holds for its references.
        cache: where the decoded images are.
        directory: where the trial's record would be.
        console: where to print.
    """
    path = SweepDir(directory).record(trial.id)
    note_trials(directory, [trial], survey(directory, [trial]), retry_failed=False)
    if path.exists():
        say(console, f"done already: {path}")
        return
    shared = trial.config.replace(composition=(), second=None)
    composition = NamedComposition(label=trial.label, ops=trial.config.composition, second=trial.config.second)
    experiment = SweepPlan(
        data=data,
        seeds=(trial.seed,),
        references=(),
        reference_crop=crop,
        compositions=(composition,),
        shared=shared,
        protocols=tuple(protocols),
    )
    trial_time = measured(experiment, shared.device, cache, console)
    note_time(trial_time, 1, trial_time.seconds)
    if trial_time.seconds is not None:
        say(console, f"estimated: {clock(trial_time.seconds)} ({trial_time.how})")
    show_memory(experiment, 1, cache, console)
