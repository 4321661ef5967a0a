"""Running a sweep on this machine: what is missing, the workers, the display."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment, Trial
from ablate.console import counted, say
from ablate.errors import UsageError, expanded
from ablate.lease import Attempt, running_directory
from ablate.results import BadRecord, DiskTrouble, TrialResult, names_in, read_record, record_path, set_aside
from ablate.sweep.local import LocalLauncher, WorkerTrouble
from ablate.sweep.plan import SWEEP_FILE, extend, is_sweep, load_experiment, plan, save_experiment
from ablate.sweep.progress import Progress
from ablate.sweep.prune import check_seeds, run_rungs
from ablate.sweep.withdrawal import take_back
from ablate.sweep.workspace import LOCK, WAITING, sole_user

INTERRUPTED = 130


@dataclass(frozen=True)
class State:
    """What the disk says about a sweep's trials; records are without their histories.

    ``pruned`` trials count as finished in a sweep that prunes; in one that does not, they are missing.
    """

    finished: list[TrialResult]
    failed: list[TrialResult]
    missing: list[Trial]
    damaged: list[Path]
    begun: int
    pruned: list[TrialResult]


def without_history(path: Path) -> TrialResult:
    """As :func:`read_record`; see there."""
    return read_record(path, points=0)


def survey(
    directory: Path,
    trials: list[Trial],
    read: Callable[[Path], TrialResult] = without_history,
    *,
    prunes: bool = True,
) -> State:
    """Sort ``trials`` by their records, as ``read`` reads them; a damaged one counts as missing. Changes nothing.

    ``prunes``: whether a trial that was pruned is done with.
    """
    finished: list[TrialResult] = []
    failed: list[TrialResult] = []
    missing: list[Trial] = []
    damaged: list[Path] = []
    pruned: list[TrialResult] = []
    recorded = names_in(directory / "trials")
    for trial in trials:
        path = record_path(directory, trial.id)
        if path.name not in recorded:
            missing.append(trial)
            continue
        try:
            result = read(path)
        except FileNotFoundError:
            missing.append(trial)
        except BadRecord:
            damaged.append(path)
            missing.append(trial)
        else:
            if result.status == "pruned":
                pruned.append(result)
                if not prunes:
                    missing.append(trial)
                    continue
            (failed if result.status == "failed" else finished).append(result)
    begun = len({trial.id for trial in missing} & names_in(directory / "running"))
    return State(finished, failed, missing, damaged, begun, pruned)


def check_out(directory: Path) -> None:
    """Raise UsageError unless ``directory`` can hold a sweep: writable, and empty, new or a sweep's already."""
    check_writable(directory)
    if directory.is_dir() and not is_sweep(directory):
        strangers = [p.name for p in directory.iterdir() if p.name not in (LOCK, WAITING)]
        if "trials" in strangers:
            raise UsageError(
                f"--out {directory} holds records but no {SWEEP_FILE}: put that file back if it was moved, or choose "
                "another directory"
            )
        if strangers:
            raise UsageError(
                f"--out {directory} holds other files ({sorted(strangers)[0]}, ...) and is not a sweep directory; "
                "choose a new or empty one"
            )


def check_writable(directory: Path) -> None:
    """Raise UsageError unless files can be made in ``directory``, or where it would be made; leaves nothing behind."""
    expanded(str(directory))  # refuses names that sweep.toml cannot hold
    try:
        existing = directory
        while not existing.exists():
            if existing.is_symlink():
                raise UsageError(f"--out {directory}: {existing} is a link that leads nowhere; choose a directory")
            existing = existing.parent
        if not existing.is_dir():
            raise UsageError(f"--out {directory}: {existing} is a file; choose a directory")
        with tempfile.TemporaryDirectory(dir=existing, prefix=".ablate-"):
            pass
    except OSError as error:
        raise UsageError(f"--out {directory} is not writable ({error.strerror}); choose another directory") from None


def check_file(path: Path) -> None:
    """Raise UsageError unless a file can be written to ``path``: in a directory that is there and writable."""
    if path.is_dir():
        raise UsageError(f"--out {path} is a directory; name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: there is no directory {path.absolute().parent}")
    check_writable(path.absolute().parent)


def merge_with_existing(directory: Path, experiment: Experiment) -> Experiment:
    """``experiment``, extended by what ``directory`` already holds; UsageError if that is another sweep."""
    if is_sweep(directory):
        return extend(load_experiment(directory), experiment, directory)
    return experiment


def summary(trials: list[Trial], state: State, retry_failed: bool) -> str:
    """One line: how many trials there are, are done, have failed, and will run."""
    cells = len({trial.label for trial in trials if trial.reference is None})
    seeds = len({trial.seed for trial in trials})
    references = sum(trial.reference is not None for trial in trials)
    parts = [
        f"{counted(cells, 'cell')} x {counted(seeds, 'seed')} + {counted(references, 'reference')} "
        f"= {counted(len(trials), 'trial')}"
    ]
    again = len({trial.id for trial in state.missing} & {result.id for result in state.pruned})
    done = len(state.finished) - (0 if again else len(state.pruned))
    parts += [f"{done} done"] if done else []
    parts += [f"{len(state.pruned)} pruned{' (to train to the end)' * bool(again)}"] if state.pruned else []
    if state.failed:
        parts += [f"{len(state.failed)} failed ({'to rerun' if retry_failed else 'kept; --retry-failed reruns them'})"]
    parts += [f"{state.begun} begun"] if state.begun else []
    return "; ".join([*parts, f"{len(state.missing) + len(state.failed) * retry_failed} to run"])


def run_sweep(
    directory: Path, experiment: Experiment, cache: Path, devices: list[str], retry_failed: bool, console: Console
) -> int:
    """Run what is missing. Returns the exit code: 0 all done, 1 some failed or the sweep stopped, 130 interrupted.

    Raises:
        UsageError: another command is at work in ``directory``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with sole_user(directory):
        experiment = merge_with_existing(directory, experiment)
        check_seeds(directory, experiment)
        trials = plan(experiment)
        save_experiment(directory, experiment)
        state = survey(directory, trials, prunes=bool(experiment.prune))
        to_run = make_way(directory, trials, state, retry_failed, console)
        take_back(directory, to_run, console)
        say(console, summary(trials, state, retry_failed))
        launcher = LocalLauncher(directory, cache, devices, experiment.shared.threads, waits_for=_telling(console))
        finished = len(trials) - len(to_run)
        try:
            at_once = max(1, min(len(devices), len(to_run)))
            with Progress(
                console, directory, to_run, finished, at_once, prunes=bool(experiment.prune), measure=experiment.measure
            ) as progress:

                def train(waiting: list[Trial], until: int | None) -> int:
                    progress.head_for(waiting, until)
                    launcher.run(waiting, progress.update, until=until)
                    return 0

                run_rungs(directory, experiment, trials, to_run, train)
                progress.end()
            _keep_plan(directory, experiment, console)
        except KeyboardInterrupt:
            say(console, f"interrupted; finished trials and checkpoints are in {directory}: the same command resumes")
            return INTERRUPTED
        except DiskTrouble as error:
            advice = "free some room and run the same command again"
            say(console, f"stopped: the disk refused a write ({error}); finished trials are intact; {advice}", "red")
            return 1
        except WorkerTrouble as error:
            say(console, f"stopped: {error}", "red")
            return 1
        return 1 if survey(directory, trials).failed else 0


def _keep_plan(directory: Path, experiment: Experiment, console: Console) -> None:
    """Write ``sweep.toml`` again if it was removed or damaged while the trials ran: without it they are no sweep."""
    try:
        load_experiment(directory)
    except UsageError as error:
        say(console, f"{error}; it is written again, since the sweep was running", "yellow")
        save_experiment(directory, experiment)


def _telling(console: Console) -> Callable[[Attempt], bool]:
    """Wait for whoever is at work on a trial, and say so once."""
    told: set[tuple[str, str, int]] = set()

    def wait(holder: Attempt) -> bool:
        who = (holder.job, holder.machine, holder.pid)
        if who not in told:
            say(console, f"waiting for a trial that is at work elsewhere: {holder}", "yellow")
        told.add(who)
        return True

    return wait


def make_way(directory: Path, trials: list[Trial], state: State, retry_failed: bool, console: Console) -> list[Trial]:
    """Set damaged records (and failed or pruned ones that are to run) aside; the trials to run, in plan order."""
    for path in state.damaged:
        aside = set_aside(path)
        say(console, f"damaged record set aside as {aside}; its trial runs again", "yellow")
    left = names_in(directory / "running")
    for result in state.finished:
        if result.id in left:  # by a worker killed between record and clean-up
            shutil.rmtree(running_directory(directory, result.id), ignore_errors=True)
    wanted = {trial.id for trial in state.missing}
    for result in state.pruned:
        if result.id in wanted:
            set_aside(record_path(directory, result.id), "pruned")
    if retry_failed:
        wanted |= {result.id for result in state.failed}
        for result in state.failed:
            set_aside(record_path(directory, result.id), "failed")
    return list({trial.id: trial for trial in trials if trial.id in wanted}.values())
