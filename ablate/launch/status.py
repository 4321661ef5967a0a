"""What the disk says about a sweep, and the scheduler where there is one. Needs no torch, no pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ablate.config.sweep import SweepPlan, Trial
from ablate.console import command, counted
from ablate.files import names_in
from ablate.launch.reader import Reader
from ablate.launch.slurm.past import Past, over
from ablate.sweep.lease import Attempt, is_alive, last_attempt, last_beat
from ablate.sweep.lock import WAITING, in_use
from ablate.sweep.progress import TrialProgress, log_path, read_progress
from ablate.sweep.record import TrialResult, read_parked
from ablate.sweep.survey import survey

Place = Literal["done", "failed", "running", "queued", "parked", "interrupted", "lost", "missing"]
"""``queued``: a job in Slurm's queue is to run it. ``parked``: it waits for the others at a rung. ``interrupted``:
begun, and left in order. ``lost``: whoever was at work on it is gone without a word."""


class Begun(NamedTuple):
    """Of a trial that has begun and has no record: the last attempt, and how far it is.

    ``beat``: when its holder last gave a sign of life, in unix seconds; 0 if that is not told.
    """

    attempt: Attempt
    progress: TrialProgress
    beat: float


@dataclass(frozen=True)
class Status:
    """Every planned trial's place, by id; the records of those that have one, without histories; what has begun.

    ``jobs``: what became of the sweep's jobs, None where there are none or nobody can be asked; ``note`` says so.
    ``in_use``: a command has the directory to itself, one that runs trials here or submits them. ``awaited``: one waits
    for its jobs.
    """

    directory: Path
    experiment: SweepPlan
    places: dict[str, Place]
    trials: list[Trial]
    records: dict[str, TrialResult]
    begun: dict[str, Begun]
    damaged: list[Path]
    jobs: Past | None = None
    note: str = ""
    in_use: bool = False
    awaited: bool = False

    def count(self, *places: Place) -> int:
        """How many trials are there."""
        return sum(place in places for place in self.places.values())

    def at(self, *places: Place) -> list[Trial]:
        """The trials that are there, in plan order."""
        return [trial for trial in self.trials if self.places[trial.id] in places]

    @property
    def failed(self) -> list[TrialResult]:
        """The records of failed trials, in plan order."""
        return [self.records[trial.id] for trial in self.at("failed")]

    @property
    def is_complete(self) -> bool:
        """True when every trial has a record."""
        return self.count("done", "failed") == len(self.places)

    @property
    def is_idle(self) -> bool:
        """True when it is complete, or nothing runs or is queued, nor will be by a command that has it to itself.

        False also while nobody can say whether its jobs are queued.
        """
        if self.is_complete:
            return True
        if self.count("running") or self.in_use:
            return False
        return not self.jobs.jobs if self.jobs else not self.note

    @property
    def is_over(self) -> bool:
        """True when it is idle, and no command waits for its jobs, to go on from what they come to."""
        return self.is_idle and not self.awaited

    @property
    def ended_jobs(self) -> list[str]:
        """Sentences about the jobs that are over and have left trials undone, with their logs."""
        if self.jobs is None:
            return []
        undone = {i for i, place in self.places.items() if place in ("interrupted", "lost", "missing")}
        return [
            f"job {job} is over, and {counted(len(left), 'trial')} of it not done (its log: {log})"
            for job, trials, log in over(self.jobs, self.directory)
            if (left := undone & trials)
        ]


def sweep_status(directory: Path, jobs: Past | None = None, note: str = "", *, reader: Reader | None = None) -> Status:
    """Read a sweep's directory.

    Args:
        directory: the sweep's.
        jobs: with ``note``, what :func:`look_up` returned.
        note: a sentence where nobody can be asked about jobs.
        reader: of the same directory; it need not read again what it has read.

    Raises:
        UsageError: it is not a sweep's.
    """
    reader = reader or Reader(directory)
    awaited = in_use(directory, WAITING)
    busy = in_use(directory)  # before its records are read: a command that ends meanwhile has left them whole
    experiment, trials = reader.plan()
    state = survey(directory, trials, reader.record)
    names = names_in(directory / "running")
    begun = {
        trial.id: Begun(
            attempt,
            read_progress(directory, trial.id) or TrialProgress.nothing_yet(trial),
            last_beat(directory, trial.id, attempt),
        )
        for trial in state.missing
        if trial.id in names and (attempt := last_attempt(directory, trial.id))
    }
    queued = jobs.queued if jobs else {}
    places: dict[str, Place] = {result.id: "done" for result in state.finished}
    places |= {result.id: "failed" for result in state.failed}
    places |= {trial.id: "queued" if trial.id in queued else "missing" for trial in state.missing}
    for trial_id, (attempt, _, _) in begun.items():
        job = queued.get(trial_id)
        if job is None and is_parked(directory, trial_id, attempt):
            places[trial_id] = "parked"
        elif is_alive(directory, trial_id, attempt):
            places[trial_id] = "running"
        elif job is None or (job.state == "RUNNING" and job.id == attempt.job and not attempt.released):
            places[trial_id] = "interrupted" if attempt.released else "lost"  # Slurm may not know yet
    records = {result.id: result for result in (*state.finished, *state.failed)}
    return Status(directory, experiment, places, trials, records, begun, state.damaged, jobs, note, busy, awaited)


def is_parked(directory: Path, trial_id: str, attempt: Attempt) -> bool:
    """Whether the trial waits at a rung, ``attempt`` being the last: it has come to the rung, and done no more."""
    parked = read_parked(directory, trial_id) if attempt.released else None
    return parked is not None and parked.attempts == attempt.number


def reason(result: TrialResult) -> str:
    """Why a trial failed: the first line of its error's message."""
    return (result.error.message.strip() or result.error.type).splitlines()[0] if result.error else "no reason recorded"


def failure_line(directory: Path, result: TrialResult) -> str:
    """Which trial failed, why, and where its log is."""
    log = log_path(directory, result.id)
    where = (
        f"log: {log}" if log.is_file() else f"see: {command('ablate', 'logs', directory, result.id)}"
    )  # it may not have begun
    return f"failed: {result.label} seed {result.seed}: {reason(result)} ({where})"
