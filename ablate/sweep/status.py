"""What the disk says about a sweep: done, failed, running, interrupted, lost, missing. Needs no torch, no pandas."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.config import Experiment, Trial
from ablate.console import say, say_each
from ablate.lease import Attempt, is_alive, last_attempt
from ablate.results import TrialResult, names_in
from ablate.sweep.eta import clock
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.run import survey
from ablate.sweep.workspace import TrialProgress, log_path, read_progress

Place = Literal["done", "failed", "running", "interrupted", "lost", "missing"]
"""``interrupted``: begun, and left in order. ``lost``: whoever was at work on it is gone without a word."""


@dataclass(frozen=True)
class Status:
    """Every planned trial's place, the records of failed ones; of begun ones the last attempt and its progress."""

    directory: Path
    experiment: Experiment
    places: dict[str, Place]
    trials: list[Trial]
    failed: list[TrialResult]
    begun: dict[str, tuple[Attempt, TrialProgress]]
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
    begun = {
        trial.id: (attempt, read_progress(directory, trial.id) or TrialProgress.nothing_yet(trial))
        for trial in state.missing
        if trial.id in names and (attempt := last_attempt(directory, trial.id))
    }
    places: dict[str, Place] = {result.id: "done" for result in state.finished}
    places |= {result.id: "failed" for result in state.failed}
    places |= {trial.id: "missing" for trial in state.missing}
    places |= {trial_id: _place(directory, trial_id, attempt) for trial_id, (attempt, _) in begun.items()}
    return Status(directory, experiment, places, trials, state.failed, begun, state.damaged)


def _place(directory: Path, trial_id: str, attempt: Attempt) -> Place:
    if is_alive(directory, trial_id, attempt):
        return "running"
    return "interrupted" if attempt.released else "lost"


def print_status(status: Status, console: Console) -> None:
    """Counts, running trials with their epoch, failures with reason and log, and what to do next."""
    counts = ", ".join(
        f"{status.count(place)} {place}" for place in get_args(Place) if status.count(place) or place == "done"
    )
    say(console, f"{status.directory}: {len(status.trials)} trials: {counts}")
    _print_begun(status, console)
    say_each(console, [failure_line(status.directory, result) for result in status.failed], "red")
    say_each(console, [f"damaged record: {path} (its trial will run again)" for path in status.damaged], "yellow")
    if not status.count("running") and any(status.count(place) for place in ("interrupted", "lost", "missing")):
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
    for heading in ("trial", "seed", "state", "attempt", "epoch", "loss", "where", "last news"):
        table.add_column(heading)
    for trial in begun:
        attempt, progress = status.begun[trial.id]
        loss = progress.metrics.get("loss")
        table.add_row(
            Text(trial.label),
            str(trial.seed),
            status.places[trial.id],
            str(attempt.number),
            f"{progress.epoch}/{trial.config.epochs}",
            f"{loss:.3f}" if isinstance(loss, float) else "",
            Text(f"{attempt.host} (job {attempt.job})" if attempt.job else attempt.host),
            f"{clock(max(0.0, time.time() - max(progress.updated, attempt.began)))} ago",
        )
    console.print(table)
