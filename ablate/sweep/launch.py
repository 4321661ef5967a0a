"""The launchers, as ``ablate grid`` uses them: run here, or submit jobs, and report; or say what it would be."""

from __future__ import annotations

from pathlib import Path

from ablate.config import Experiment
from ablate.console import make_console, say
from ablate.sweep.dry_run import show_plan
from ablate.sweep.local import default_devices
from ablate.sweep.run import INTERRUPTED, merge_with_existing, run_sweep
from ablate.sweep.slurm.dry_run import show_submission
from ablate.sweep.slurm.submit import submit_sweep


def run_here(
    directory: Path,
    experiment: Experiment,
    images: str,
    cache: Path,
    workers: int | None,
    retry_failed: bool,
    dry_run: bool,
) -> int:
    """Run what is missing on this machine, and report; returns the exit code. ``images`` says what they are."""
    shared, console = experiment.shared, make_console()
    devices = default_devices(shared.device, workers, shared.threads, shared.world_size)
    whole = merge_with_existing(directory, experiment)
    say(console, images)
    if dry_run:
        show_plan(directory, whole, devices, cache, retry_failed, console)
        return 0
    code = run_sweep(directory, experiment, cache, devices, retry_failed, console)
    if code != INTERRUPTED:
        from ablate.report import write_report  # pandas, SciPy and Matplotlib: not before the first trial

        write_report(directory).show(console)
    return code


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
