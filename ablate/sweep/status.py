"""What the disk says about a sweep: done, failed, running, interrupted, missing. Needs neither torch nor pandas."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.config import Experiment, Trial
from ablate.console import say, say_each
from ablate.results import TrialResult, names_in
from ablate.sweep.eta import clock
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.run import survey
from ablate.sweep.workspace import TrialProgress, log_path, read_progress

STALE = 120.0  # seconds without news from another host's worker

Place = Literal["done", "failed", "running", "interrupted", "missing"]


@dataclass(frozen=True)
class Status:
    """Every planned trial's place, the records of failed ones, the progress of begun ones."""

    directory: Path
    experiment: Experiment
    places: dict[str, Place]
    trials: list[Trial]
    failed: list[TrialResult]
    begun: dict[str, TrialProgress]
    damaged: list[Path]

    def count(self, place: Place) -> int:
        """How many trials are there."""
        return sum(p == place for p in self.places.values())


def sweep_status(directory: Path) -> Status:
    """Read a sweep's directory.

    Raises:
        UsageError: it is not a sweep's.
    """
    experiment = load_experiment(directory)
    trials = plan(experiment)
    state = survey(directory, trials)
    names = names_in(directory / "running")
    begun = [trial for trial in state.missing if trial.id in names]
    progress = {trial.id: p for trial in begun if (p := read_progress(directory, trial.id))}
    places: dict[str, Place] = {result.id: "done" for result in state.finished}
    places |= {result.id: "failed" for result in state.failed}
    places |= {trial.id: _place(progress.get(trial.id)) for trial in state.missing}
    return Status(directory, experiment, places, trials, state.failed, progress, state.damaged)


def print_status(status: Status, console: Console) -> None:
    """Counts, running trials with their epoch, failures with reason and log, and what to do next."""
    counts = ", ".join(
        f"{status.count(place)} {place}"
        for place in ("done", "failed", "running", "interrupted", "missing")
        if status.count(place) or place == "done"
    )
    say(console, f"{status.directory}: {len(status.trials)} trials: {counts}")
    _print_begun(status, console)
    say_each(console, [failure_line(status.directory, result) for result in status.failed], "red")
    say_each(console, [f"damaged record: {path} (its trial will run again)" for path in status.damaged], "yellow")
    if status.count("running") == 0 and (status.count("missing") or status.count("interrupted")):
        say(console, f"to complete it: {status.experiment.command}")
    if status.failed:
        say(console, f"to rerun what failed: {status.experiment.command} --retry-failed")


def failure_line(directory: Path, result: TrialResult) -> str:
    """Which trial failed, why, and where its log is."""
    reason = result.error.message if result.error else "no reason recorded"
    return f"failed: {result.label} seed {result.seed}: {reason} (log: {log_path(directory, result.id)})"


def _print_begun(status: Status, console: Console) -> None:
    begun = [trial for trial in status.trials if trial.id in status.begun]
    if not begun:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("trial", "seed", "state", "epoch", "loss", "host", "last news"):
        table.add_column(heading)
    for trial in begun:
        progress = status.begun[trial.id]
        loss = progress.metrics.get("loss")
        table.add_row(
            Text(trial.label),
            str(trial.seed),
            status.places[trial.id],
            f"{progress.epoch}/{trial.config.epochs}",
            f"{loss:.3f}" if isinstance(loss, float) else "",
            Text(progress.host),
            f"{clock(max(0.0, time.time() - progress.updated))} ago",
        )
    console.print(table)


def _place(progress: TrialProgress | None) -> Place:
    """A begun trial runs while its process lives (on this host) or while there is news (from another)."""
    if progress is None:
        return "missing"
    if progress.host == socket.gethostname():
        return "running" if _alive(progress.pid) else "interrupted"
    return "running" if time.time() - progress.updated < STALE else "interrupted"


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
