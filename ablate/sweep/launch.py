"""The launchers, as ``ablate grid`` uses them: run here, or submit jobs, and report; or say what it would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment, TrialConfig
from ablate.console import make_console, say
from ablate.sweep.dry_run import show_cost, show_plan
from ablate.sweep.local import default_devices
from ablate.sweep.plan import plan
from ablate.sweep.run import INTERRUPTED, merge_with_existing, run_sweep, summary, survey
from ablate.sweep.slurm.dry_run import show_submission
from ablate.sweep.slurm.submit import submit_sweep
from ablate.sweep.watch import looks


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


def training_there(
    directory: Path, cache: Path, retry_failed: bool, console: Console, every: float
) -> Callable[[Experiment], int]:
    """What submits all that an experiment lacks and waits for the jobs, looking every so many seconds.

    What jobs left undone is submitted again, as long as something gets done.
    """
    retry = [retry_failed]

    def train(experiment: Experiment) -> int:
        left = None
        while missing := len(survey(directory, plan(merge_with_existing(directory, experiment))).missing):
            if left is not None and missing >= left:
                say(console, f"stopped: {missing} trials are left, and the last jobs did none of them", "red")
                return 1
            left = missing
            if code := submit_sweep(directory, experiment, cache, bool(retry and retry.pop()), console):
                return code
            for _ in looks(directory, every):
                pass
        return 0

    return train


def submit(directory: Path, experiment: Experiment, images: str, cache: Path, retry_failed: bool, dry_run: bool) -> int:
    """Submit what is missing to the cluster, and report on what is there; returns the exit code."""
    console = make_console()
    whole = merge_with_existing(directory, experiment)
    say(console, images)
    if dry_run:
        show_submission(directory, whole, cache, retry_failed, console)
        return 0
    code = submit_sweep(directory, experiment, cache, retry_failed, console)
    if any((directory / "trials").glob("[!.]*.json")):
        from ablate.report import write_report

        write_report(directory).show(console)
    return code
