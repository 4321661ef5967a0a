"""Join a sweep that a command has planned: run trials that nobody else runs, and leave once none will come.

It plans nothing and decides nothing. It only takes trials, by their leases, as every worker of the sweep does; so it
needs no lock, and disturbs neither the sweep's own command nor other machines that have joined.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan, Trial
from ablate.console import command, counted, say
from ablate.errors import DiskError, ExitCode, UsageError, WorkerError
from ablate.files import names_in
from ablate.launch.monitor import Monitor
from ablate.launch.pool import LOOK, WorkerPool, default_devices
from ablate.launch.start import check_given, check_room
from ablate.launch.watch import Watcher
from ablate.ops.composition import Composition
from ablate.planning.images import images_of
from ablate.planning.settings import resolve_device
from ablate.processes.signals import resumable
from ablate.sweep.again import completing
from ablate.sweep.holders import holder
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.prune import before_next_choice
from ablate.trial.provenance import versions

HINT = "Ctrl-C stops the trials of this machine; other machines continue"
PATIENCE = 60.0  # seconds without a command at work after which a sweep that may grow counts as stopped


def join(directory: Path, cache: Path, workers: int | None, console: Console) -> int:
    """Run trials of the sweep in ``directory`` until every one has ended, or until those that are left cannot begin.

    Args:
        directory: the sweep's directory.
        cache: where the decoded images are, or will be, on this machine.
        workers: how many workers run side by side; None: the default of the machine.
        console: where to show progress.

    Returns:
        The exit code: 1 if the disk or a worker stopped it, else 0.

    Raises:
        UsageError: it is no sweep, another version of ablate began it, or this machine lacks its images or its GPUs.
        Interruption: a signal ended it; the workers have stopped with checkpoints.
    """
    experiment = load_plan(directory)
    trials = plan(experiment)
    _check_version(directory, trials, console)
    if not _left(directory, trials):
        say(console, f"nothing is left to do: all {counted(len(trials), 'trial')} of {directory} have ended")
        return ExitCode.DONE
    devices = _devices(directory, experiment, workers)
    check_given(directory, experiment, experiment)
    _check_images(experiment, cache)
    check_room(directory, experiment, len(devices), cache, console)
    say(console, f"working on {directory} with {counted(len(devices), 'worker')}")
    prefix = f"work-{socket.gethostname()}-{os.getpid()}"
    launcher = WorkerPool(
        directory,
        cache,
        devices,
        experiment.shared.threads,
        prefix=prefix,
        waits_for=lambda holder: False,
        is_guest=True,
    )
    try:
        with resumable(directory, "other machines continue them"), Monitor(console, directory, HINT) as monitor:
            _work(directory, launcher, monitor)
    except (DiskError, WorkerError) as error:
        say(console, f"stopped: {error}", "red")
        return ExitCode.FAILED
    _say_what_is_left(directory, console)
    return ExitCode.DONE


def _work(directory: Path, launcher: WorkerPool, monitor: Monitor) -> None:
    """Run the trials that are free, and wait for others to become free, until the sweep is over."""
    watcher, over_since = Watcher(directory, asks=False), None
    while True:
        experiment = load_plan(directory)
        free, until = _free(directory, experiment)
        if free:
            over_since = None
            launcher.run(free, lambda _: monitor.update(), until=until)
            continue
        status, now = watcher.look(), time.monotonic()
        over_since = (over_since or now) if status.is_over else None
        # Between two stages, its command has the directory to itself only when it begins the next one.
        if over_since is not None and now - over_since >= (PATIENCE if experiment.stage or status.may_continue else 0):
            monitor.end()
            return
        monitor.update()
        time.sleep(LOOK)


def _free(directory: Path, experiment: SweepPlan) -> tuple[list[Trial], int | None]:
    """Return the trials that can begin now and that no process holds, and the epoch at whose end they stop."""
    waiting, until = before_next_choice(directory, experiment, plan(experiment))
    begun = names_in(SweepDir(directory).running)
    return [trial for trial in waiting if trial.id not in begun or holder(directory, trial.id) is None], until


def _left(directory: Path, trials: list[Trial]) -> list[Trial]:
    recorded = names_in(SweepDir(directory).trials)
    return [trial for trial in trials if SweepDir(directory).record(trial.id).name not in recorded]


def _check_version(directory: Path, trials: list[Trial], console: Console) -> None:
    """Refuse trials that have other keys than those that were begun, and warn of other versions of libraries.

    Raises:
        UsageError: no trial that was begun has a key of this version, or an op has another version here.
    """
    for config in {trial.config.key: trial.config for trial in trials}.values():
        Composition.from_specs(config.composition, config.second)
    records = sorted(SweepDir(directory).trials.glob("[!.]*.json"))
    begun = {path.stem for path in records} | names_in(SweepDir(directory).running)
    here, there = versions(), _versions_in(records)
    if begun and begun.isdisjoint(trial.id for trial in trials):
        raise UsageError(
            f"{directory} was begun by another version of ablate ({there.get('ablate', 'unknown')}; here it is "
            f"{here['ablate']}), whose trials have other keys: install that version on this machine"
        )
    other = [f"{name} {there[name]} (here {here[name]})" for name in here if there.get(name, here[name]) != here[name]]
    if other:
        say(console, f"earlier trials ran with {', '.join(other)}; results may differ in their last digits", "yellow")


def _versions_in(records: list[Path]) -> dict[str, str]:
    """Return the versions in the first record that can be read."""
    for path in records:
        try:
            return dict(json.loads(path.read_bytes())["versions"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def _devices(directory: Path, experiment: SweepPlan, workers: int | None) -> list[str]:
    shared = experiment.shared
    if shared.device == "cuda" and resolve_device("auto") == "cpu":
        raise UsageError(f"{directory} trains on GPUs, of which this machine has none: use a machine that has")
    return default_devices(shared.device, workers, shared.threads, shared.world_size)


def _check_images(experiment: SweepPlan, cache: Path) -> None:
    """Find the sweep's images in the cache, or decode them into it.

    Raises:
        UsageError: they are not on this machine, or differ from those of the sweep.
    """
    try:
        images_of(experiment, cache)
    except UsageError as error:
        raise UsageError(
            f"this machine lacks the images of the sweep: {error}; it needs the same files at the same path "
            f"({experiment.data}), or --cache with a directory that holds them decoded"
        ) from None


def _say_what_is_left(directory: Path, console: Console) -> None:
    experiment = load_plan(directory)
    left = _left(directory, plan(experiment))
    again = completing(directory, experiment)
    if left:
        say(console, f"{counted(len(left), 'trial')} left, for which this needs the sweep's own command: `{again}`")
    else:
        see = command("ablate", "report", directory)
        say(console, f"every trial has ended; {see} writes the report, as the sweep's own command does: `{again}`")
