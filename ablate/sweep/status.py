"""What the disk says about a sweep, and the scheduler where there is one. Needs no torch, no pandas."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ablate.config import Experiment, Trial
from ablate.console import MOST, counted, first_lines
from ablate.lease import Attempt, is_alive, last_attempt
from ablate.results import TrialResult, names_in
from ablate.sweep.eta import clock
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.run import survey
from ablate.sweep.slurm.past import Past, look_up, over
from ablate.sweep.workspace import TrialProgress, log_path, read_progress

REFRESH = 5.0  # seconds between looks at the disk, or ten times what one takes
ASK = 30.0  # seconds between questions to the scheduler

Place = Literal["done", "failed", "running", "queued", "interrupted", "lost", "missing"]
"""``queued``: a job in Slurm's queue is to run it. ``interrupted``: begun, and left in order. ``lost``: whoever was at
work on it is gone without a word."""


@dataclass(frozen=True)
class Status:
    """Every planned trial's place, the records of failed ones; of begun ones the last attempt and its progress.

    ``jobs``: what became of the sweep's jobs, None where there are none or nobody can be asked; ``note`` says so.
    """

    directory: Path
    experiment: Experiment
    places: dict[str, Place]
    trials: list[Trial]
    failed: list[TrialResult]
    begun: dict[str, tuple[Attempt, TrialProgress]]
    damaged: list[Path]
    jobs: Past | None = None
    note: str = ""

    def count(self, *places: Place) -> int:
        """How many trials are there."""
        return sum(place in places for place in self.places.values())

    @property
    def is_over(self) -> bool:
        """True when nothing runs, and no job is queued that would."""
        return not self.count("running") and not (self.jobs and self.jobs.jobs)


def sweep_status(directory: Path, jobs: Past | None = None, note: str = "") -> Status:
    """Read a sweep's directory; ``jobs`` and ``note`` are what :func:`look_up` returned.

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
    queued = jobs.queued if jobs else {}
    places: dict[str, Place] = {result.id: "done" for result in state.finished}
    places |= {result.id: "failed" for result in state.failed}
    places |= {trial.id: "queued" if trial.id in queued else "missing" for trial in state.missing}
    for trial_id, (attempt, _) in begun.items():
        job = queued.get(trial_id)
        if is_alive(directory, trial_id, attempt):
            places[trial_id] = "running"
        elif job is None or (job.state == "RUNNING" and job.id == attempt.job and not attempt.released):
            places[trial_id] = "interrupted" if attempt.released else "lost"  # Slurm may not know yet
    return Status(directory, experiment, places, trials, state.failed, begun, state.damaged, jobs, note)


def print_status(status: Status, console: Console) -> None:
    """Counts, running trials with their epoch, failures with reason and log, and what to do next."""
    for part in _parts(status):
        console.print(part, soft_wrap=isinstance(part, Text))


def watch_status(directory: Path, console: Console) -> None:
    """Show the status again and again until nothing is running or queued, or until Ctrl-C.

    Plain lines where there is no terminal.

    Raises:
        UsageError: it is not a sweep's directory.
    """
    status = sweep_status(directory, *look_up(directory))
    asked = time.monotonic()
    least = pause = REFRESH if console.is_terminal else ASK
    shown = Live(_screen(status), console=console, auto_refresh=False, transient=True)
    with contextlib.suppress(KeyboardInterrupt), shown as live:
        while not status.is_over:
            time.sleep(pause)
            began = time.monotonic()
            jobs, note = status.jobs, status.note
            if began - asked >= ASK:
                (found, note), asked = look_up(directory), began
                jobs = found or jobs  # of a scheduler that does not answer, the last word holds
            status = sweep_status(directory, jobs, note)
            if console.is_terminal:
                live.update(_screen(status), refresh=True)
            else:
                console.print(_headline(status), soft_wrap=True)
            pause = max(least, 10 * (time.monotonic() - began))
    print_status(sweep_status(directory, *look_up(directory)), console)


def failure_line(directory: Path, result: TrialResult) -> str:
    """Which trial failed, why, and where its log is."""
    reason = result.error.message if result.error else "no reason recorded"
    log = log_path(directory, result.id)
    where = f"log: {log}" if log.is_file() else f"see: ablate logs {directory} {result.id}"  # it may not have begun
    return f"failed: {result.label} seed {result.seed}: {reason} ({where})"


def _screen(status: Status) -> Group:
    hint = Text(f"as of {time.strftime('%H:%M:%S')}; Ctrl-C leaves, and changes nothing", style="dim")
    return Group(*_parts(status), hint)


def _parts(status: Status) -> list[RenderableType]:
    parts: list[RenderableType] = [_headline(status)]
    if status.begun:
        parts.append(_table(status))
    parts += first_lines([failure_line(status.directory, result) for result in status.failed], "red")
    parts += first_lines([f"damaged record: {path} (its trial will run again)" for path in status.damaged], "yellow")
    parts += first_lines(_ended_jobs(status), "yellow")
    if status.note:
        parts.append(Text(status.note, style="yellow"))
    if status.is_over and status.count("interrupted", "lost", "missing"):
        parts.append(Text(f"to complete it: {status.experiment.command}"))
    if status.failed:
        parts.append(Text(f"to rerun what failed: {status.experiment.command} --retry-failed"))
    return parts


def _headline(status: Status) -> Text:
    counts = ", ".join(
        f"{status.count(place)} {place}" for place in get_args(Place) if status.count(place) or place == "done"
    )
    sentence = f"{status.directory}: {len(status.trials)} trials: {counts}"
    if status.jobs and status.jobs.jobs:
        states = Counter(_state(job.state, job.reason) for job in status.jobs.jobs)
        told = ", ".join(f"{number} {state}" for state, number in states.most_common())
        sentence += f"; {counted(len(status.jobs.jobs), 'job')}: {told}"
    return Text(sentence)


def _state(state: str, reason: str) -> str:
    """``pending (Resources)``: why a job waits, where Slurm says so."""
    waits = state == "PENDING" and reason not in {"", "None"}
    return f"{state.lower()} ({reason})" if waits else state.lower()


def _ended_jobs(status: Status) -> list[str]:
    """The jobs that are over and have left trials undone, with their logs."""
    if status.jobs is None:
        return []
    undone = {i for i, place in status.places.items() if place in ("interrupted", "lost", "missing")}
    return [
        f"job {job} is over, and {counted(len(left), 'trial')} of it not done (its log: {log})"
        for job, trials, log in over(status.jobs, status.directory)
        if (left := undone & trials)
    ]


def _table(status: Status) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # within 80 columns
    for heading in ("trial", "seed", "state", "attempt", "epoch", "loss", "host", "job", "last news"):
        table.add_column(heading, no_wrap=heading not in {"trial", "host"}, overflow="fold")
    begun = [trial for trial in status.trials if trial.id in status.begun]
    for trial in begun[:MOST]:
        attempt, progress = status.begun[trial.id]
        loss = progress.metrics.get("loss")
        table.add_row(
            Text(trial.label),
            str(trial.seed),
            status.places[trial.id],
            str(attempt.number),
            f"{progress.epoch}/{trial.config.epochs}",
            f"{loss:.3f}" if isinstance(loss, float) else "",
            Text(attempt.host),
            attempt.job,
            clock(max(0.0, time.time() - max(progress.updated, attempt.began))),
        )
    if len(begun) > MOST:
        table.add_row(f"... and {len(begun) - MOST} more")
    return table
