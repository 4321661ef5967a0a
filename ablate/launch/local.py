"""Run a sweep on this machine: find the missing trials, start the workers, show the progress."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan, Trial
from ablate.console import say
from ablate.errors import DiskError, ExitCode, UsageError, WorkerError
from ablate.files import check_writable, names_in, set_aside
from ablate.launch.monitor import Monitor
from ablate.launch.pool import WorkerPool
from ablate.processes.signals import resumable
from ablate.report.correction import take_back
from ablate.sweep.attempts import Attempt
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import LOCK, PLAN, WAITING, SweepDir
from ablate.sweep.lock import note_work, sole_user
from ablate.sweep.plan import is_sweep, load_plan, plan, save_plan
from ablate.sweep.prune import check_seeds, run_rungs
from ablate.sweep.survey import State, summary, survey


def check_out(directory: Path) -> None:
    """Raise UsageError unless ``directory`` can hold a sweep.

    It must be writable, and either new, empty or a sweep's directory already.
    """
    check_writable(directory)
    if directory.is_dir() and not is_sweep(directory):
        strangers = [p.name for p in directory.iterdir() if p.name not in (LOCK, WAITING)]
        if SweepDir(directory).trials.name in strangers:
            raise UsageError(
                f"--out {directory} holds records but no {PLAN}: put that file back if it was moved, or choose "
                "another directory"
            )
        if strangers:
            raise UsageError(
                f"--out {directory} holds other files ({sorted(strangers)[0]}, ...) and is not a sweep directory; "
                "choose a new or empty one"
            )


def run_sweep(
    directory: Path, experiment: SweepPlan, cache: Path, devices: list[str], retry_failed: bool, console: Console
) -> int:
    """Run the missing trials.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        cache: where the decoded images are.
        devices: the device of each worker.
        retry_failed: also run failed trials again.
        console: where to show progress.

    Returns:
        The exit code: 0 all done, 1 some trials failed or the sweep stopped.

    Raises:
        UsageError: another command is at work in ``directory``.
        Interruption: a signal ended it; the workers have stopped with checkpoints.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with sole_user(directory):
        experiment = merge_with_existing(directory, experiment)
        check_seeds(directory, experiment)
        trials = plan(experiment)
        save_plan(directory, experiment)
        state = survey(directory, trials, prunes=bool(experiment.prune))
        to_run = make_way(directory, trials, state, retry_failed, console)
        take_back(directory, to_run, console)
        say(console, summary(trials, state, retry_failed))
        launcher = WorkerPool(directory, cache, devices, experiment.shared.threads, waits_for=_telling(console))
        note_work(directory, max(1, min(len(devices), len(to_run))))
        try:
            with resumable(directory), Monitor(console, directory) as monitor:

                def train(waiting: list[Trial], until: int | None) -> int:
                    launcher.run(waiting, lambda _: monitor.update(), until=until)
                    return ExitCode.DONE

                run_rungs(directory, experiment, trials, to_run, train)
                monitor.end()
            _keep_plan(directory, experiment, console)
        except DiskError as error:
            advice = "free some room and run the same command again"
            say(console, f"stopped: the disk refused a write ({error}); finished trials are intact; {advice}", "red")
            return ExitCode.FAILED
        except WorkerError as error:
            say(console, f"stopped: {error}", "red")
            return ExitCode.FAILED
        return ExitCode.FAILED if survey(directory, trials).failed else ExitCode.DONE


def _keep_plan(directory: Path, experiment: SweepPlan, console: Console) -> None:
    """Write ``sweep.toml`` again if it was removed or damaged while the trials ran.

    Without it the directory is not a sweep's.
    """
    try:
        load_plan(directory)
    except UsageError as error:
        say(console, f"{error}; it is written again, since the sweep was running", "yellow")
        save_plan(directory, experiment)


def _telling(console: Console) -> Callable[[Attempt], bool]:
    """Return a function that decides to wait for the holder of a trial, and says so once per holder."""
    announced: set[tuple[str, str, int]] = set()

    def wait(holder: Attempt) -> bool:
        who = (holder.job, holder.machine, holder.pid)
        if who not in announced:
            say(console, f"waiting for a trial that runs elsewhere: {holder}", "yellow")
        announced.add(who)
        return True

    return wait


def make_way(directory: Path, trials: list[Trial], state: State, retry_failed: bool, console: Console) -> list[Trial]:
    """Set aside the records that are in the way of the trials to run.

    These are damaged records, and those of failed or pruned trials that are to run again.

    Args:
        directory: the sweep's directory.
        trials: the trials of the plan.
        state: the state of these trials on disk.
        retry_failed: also run failed trials again.
        console: where to report damaged records.

    Returns:
        The trials to run, in plan order.
    """
    for path in state.damaged:
        aside = set_aside(path)
        say(console, f"damaged record set aside as {aside}; its trial runs again", "yellow")
    left = names_in(SweepDir(directory).running)
    for result in state.finished:
        if result.id in left:  # a worker was killed after it wrote the record and before it removed the folder
            shutil.rmtree(SweepDir(directory).begun(result.id), ignore_errors=True)
    wanted = {trial.id for trial in state.missing}
    for result in state.pruned:
        if result.id in wanted:
            set_aside(SweepDir(directory).record(result.id), "pruned")
    if retry_failed:
        wanted |= {result.id for result in state.failed}
        for result in state.failed:
            set_aside(SweepDir(directory).record(result.id), "failed")
    return list({trial.id: trial for trial in trials if trial.id in wanted}.values())
