"""The launchers, as ``ablate grid`` uses them: run here, or submit jobs, and report; or say what it would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment, Trial, TrialConfig
from ablate.console import make_console, say
from ablate.sweep.dry_run import show_cost, show_plan
from ablate.sweep.local import default_devices
from ablate.sweep.plan import plan
from ablate.sweep.prune import run_rungs, short_of
from ablate.sweep.run import INTERRUPTED, merge_with_existing, run_sweep, summary, survey
from ablate.sweep.slurm.dry_run import show_submission
from ablate.sweep.slurm.submit import submit_sweep
from ablate.sweep.watch import EVERY, looks


def run_here(
    directory: Path,
    experiment: Experiment,
    images: str,
    cache: Path,
    workers: int | None,
    retry_failed: bool,
    dry_run: bool,
    *,
    cost_first: bool = False,
) -> int:
    """Run what is missing on this machine, and report; returns the exit code. ``images`` says what they are.

    With ``cost_first`` what it takes is measured and said before it begins.
    """
    shared, console = experiment.shared, make_console()
    devices = default_devices(shared.device, workers, shared.threads, shared.world_size)
    whole = merge_with_existing(directory, experiment)
    say(console, images)
    if dry_run:
        show_plan(directory, whole, devices, cache, retry_failed, console)
        return 0
    if cost_first:
        trials = plan(whole)
        state = survey(directory, trials, prunes=bool(whole.prune))
        say(console, summary(trials, state, retry_failed))
        show_cost(whole, state, devices, cache, retry_failed, console)
    code = run_sweep(directory, experiment, cache, devices, retry_failed, console)
    if code != INTERRUPTED:
        from ablate.report import write_report  # pandas, SciPy and Matplotlib: not before the first trial

        write_report(directory).show(console)
    return code


def training_here(
    directory: Path, shared: TrialConfig, cache: Path, workers: int | None, retry_failed: bool, console: Console
) -> Callable[[Experiment], int]:
    """What runs all that an experiment lacks on this machine; failed trials are retried the first time only."""
    devices = default_devices(shared.device, workers, shared.threads, shared.world_size)
    retry = [retry_failed]

    def train(experiment: Experiment) -> int:
        return run_sweep(directory, experiment, cache, devices, bool(retry and retry.pop()), console)

    return train


def training_there(directory: Path, cache: Path, retry_failed: bool, console: Console) -> Callable[[Experiment], int]:
    """What submits all that an experiment lacks and waits for the jobs.

    What jobs left undone is submitted again, as long as something gets done; failed trials the first time only. At a
    rung all jobs have ended.
    """
    retry = [retry_failed]

    def train(experiment: Experiment) -> int:
        whole = merge_with_existing(directory, experiment)
        trials = plan(whole)

        def submitted(until: int | None, *, again: bool = False) -> int:
            code = submit_sweep(directory, experiment, cache, again, console, until=until)
            for _ in () if code else looks(directory, EVERY):
                pass
            return code

        def to_epoch(waiting: list[Trial], until: int | None) -> int:
            left = len(waiting) + 1
            while missing := len(short_of(directory, waiting, until)):
                if missing >= left:
                    say(console, f"stopped: {missing} trials are left, and the last jobs did none of them", "red")
                    return 1
                left = missing
                if code := submitted(until):
                    return code
            return 0

        if retry and retry.pop() and survey(directory, trials).failed:
            first = whole.prune[0].epoch(whole.shared.epochs) if whole.prune else None
            if code := submitted(first, again=True):
                return code
        return run_rungs(directory, whole, trials, trials, to_epoch)

    return train


def submit(directory: Path, experiment: Experiment, images: str, cache: Path, retry_failed: bool, dry_run: bool) -> int:
    """Submit what is missing to the cluster, and report on what is there; returns the exit code.

    Where cells are pruned it waits: for the jobs up to a rung, and for those of the cells that go on.
    """
    console = make_console()
    whole = merge_with_existing(directory, experiment)
    say(console, images)
    if dry_run:
        show_submission(directory, whole, cache, retry_failed, console)
        return 0
    if experiment.prune:
        say(console, "trials wait for each other at rungs, and this command for their jobs; the same again goes on")
        code = training_there(directory, cache, retry_failed, console)(experiment)
    else:
        code = submit_sweep(directory, experiment, cache, retry_failed, console)
    if any((directory / "trials").glob("[!.]*.json")):
        from ablate.report import write_report

        write_report(directory).show(console)
    return code
