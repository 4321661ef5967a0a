"""Read a sweep's status from the disk and, if there is one, from the scheduler. Needs neither torch nor pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ablate.config.sweep import SweepPlan, Trial
from ablate.console import counted
from ablate.files import names_in
from ablate.launch.reader import Reader
from ablate.launch.slurm.past import Past, over
from ablate.sweep import batches
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.holders import is_alive, last_beat
from ablate.sweep.layout import WAITING, SweepDir
from ablate.sweep.lock import Work, in_use, noted_work
from ablate.sweep.progress import TrialProgress, read_progress
from ablate.sweep.record import TrialResult, read_parked
from ablate.sweep.survey import survey

TrialState = Literal["done", "failed", "running", "queued", "parked", "interrupted", "lost", "missing"]
"""The state of a trial.

``queued``: a job in Slurm's queue will run it. ``parked``: it waits for the others at a rung. ``interrupted``: it was
begun and left in order. ``lost``: the process that held it is gone without releasing it."""


class Begun(NamedTuple):
    """The last attempt at a trial that has begun and has no record, and its progress.

    ``beat``: the time of the last sign of life of its holder, in unix seconds; 0 if it is not known.
    """

    attempt: Attempt
    progress: TrialProgress
    beat: float


class NextRung(NamedTuple):
    """The rung that cells train to: how many trials of all that are left have reached the end of its ``epoch``."""

    epoch: int
    there: int
    trials: int


@dataclass(frozen=True)
class Status:
    """The status of a sweep: the state of every planned trial by id, the records without histories, and begun trials.

    ``jobs``: the state of the sweep's jobs; None if there are none, or if the scheduler cannot be asked, as ``note``
    then says. ``in_use``: True while a command that runs or submits trials has the directory to itself. ``awaited``:
    True while a command waits for the sweep's jobs. ``work``: what a command that trains on this machine has noted.
    """

    directory: Path
    experiment: SweepPlan
    states: dict[str, TrialState]
    trials: list[Trial]
    records: dict[str, TrialResult]
    begun: dict[str, Begun]
    damaged: list[Path]
    jobs: Past | None = None
    note: str = ""
    in_use: bool = False
    awaited: bool = False
    work: Work | None = None

    def count(self, *states: TrialState) -> int:
        """Count the trials in ``states``."""
        return sum(state in states for state in self.states.values())

    def at(self, *states: TrialState) -> list[Trial]:
        """Return the trials in ``states``, in plan order."""
        return [trial for trial in self.trials if self.states[trial.id] in states]

    @property
    def rung(self) -> NextRung | None:
        """The next rung; None if nothing is pruned any more."""
        left = [trial for trial in self.trials if trial.reference is None and trial.id not in self.records]
        reached = [self.begun[trial.id].progress.epoch if trial.id in self.begun else 0 for trial in left]
        for epoch in (rung.epoch(self.experiment.shared.epochs) for rung in self.experiment.prune):
            there = sum(done >= epoch for done in reached)
            if there < len(left):
                return NextRung(epoch, there, len(left))
        return None

    @property
    def failed(self) -> list[TrialResult]:
        """The records of failed trials, in plan order."""
        return [self.records[trial.id] for trial in self.at("failed")]

    @property
    def is_complete(self) -> bool:
        """True if every trial has a record."""
        return self.count("done", "failed") == len(self.states)

    @property
    def is_compared(self) -> bool:
        """True unless cells are still to be compared after the present round of seeds."""
        rounds = self.experiment.rounds
        return rounds is None or rounds.compared[-1:] == (len(self.experiment.seeds),)

    @property
    def may_continue(self) -> bool:
        """True if the sweep is over, but its command might train further compositions.

        That is so in a search, whose budget is known to its command alone, and in a grid while its budget is not spent.
        """
        plan = self.experiment
        if not (self.is_over and self.is_complete and not self.in_use):
            return False
        cells = [self.records[trial.id] for trial in self.trials if trial.reference is None]
        return bool(plan.search) or (plan.budgeted is not None and not batches.is_spent(plan, cells))

    @property
    def is_idle(self) -> bool:
        """True if the sweep is complete, or no trial runs or is queued and no command at work will start one.

        It is False also while it is unknown if jobs are queued.
        """
        if self.is_complete:
            return True
        if self.count("running") or self.in_use:
            return False
        return not self.jobs.jobs if self.jobs else not self.note

    @property
    def is_over(self) -> bool:
        """True if the sweep is idle, and no command waits for its jobs to continue from their results."""
        return self.is_idle and not self.awaited

    @property
    def ended_jobs(self) -> list[str]:
        """Describe the jobs that are over and have left trials undone, with their logs, in one sentence each."""
        if self.jobs is None:
            return []
        undone = {i for i, state in self.states.items() if state in ("interrupted", "lost", "missing")}
        return [
            f"job {job} has ended with {counted(len(left), 'trial')} not done (its log: {log})"
            for job, trials, log in over(self.jobs, self.directory)
            if (left := undone & trials)
        ]


def sweep_status(directory: Path, jobs: Past | None = None, note: str = "", *, reader: Reader | None = None) -> Status:
    """Read the status of a sweep's directory.

    Args:
        directory: the sweep's directory.
        jobs: the jobs that :func:`look_up` returned.
        note: the sentence that :func:`look_up` returned, if the scheduler cannot be asked about jobs.
        reader: a reader of the same directory, which does not read unchanged files again.

    Raises:
        UsageError: the directory is not a sweep's.
    """
    reader = reader or Reader(directory)
    awaited = in_use(directory, WAITING)
    busy = in_use(directory)  # asked before the records are read: a command that ends meanwhile has completed them
    work = noted_work(directory) if busy else None
    experiment, trials = reader.plan()
    surveyed = survey(directory, trials, reader.record)
    names = names_in(SweepDir(directory).running)
    begun = {
        trial.id: Begun(
            attempt,
            read_progress(directory, trial.id) or TrialProgress.nothing_yet(trial),
            last_beat(directory, trial.id, attempt),
        )
        for trial in surveyed.missing
        if trial.id in names and (attempt := last_attempt(directory, trial.id))
    }
    queued = jobs.queued if jobs else {}
    states: dict[str, TrialState] = {result.id: "done" for result in surveyed.finished}
    states |= {result.id: "failed" for result in surveyed.failed}
    states |= {trial.id: "queued" if trial.id in queued else "missing" for trial in surveyed.missing}
    for trial_id, (attempt, _, _) in begun.items():
        job = queued.get(trial_id)
        if job is None and is_parked(directory, trial_id, attempt):
            states[trial_id] = "parked"
        elif is_alive(directory, trial_id, attempt):
            states[trial_id] = "running"
        elif job is None or (job.state == "RUNNING" and job.id == attempt.job and not attempt.released):
            states[trial_id] = "interrupted" if attempt.released else "lost"  # Slurm may not know yet
    records = {result.id: result for result in (*surveyed.finished, *surveyed.failed)}
    return Status(
        directory, experiment, states, trials, records, begun, surveyed.damaged, jobs, note, busy, awaited, work
    )


def is_parked(directory: Path, trial_id: str, attempt: Attempt) -> bool:
    """Return True if the trial waits at a rung: it has reached the rung, and done nothing since.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        attempt: the last attempt at the trial.
    """
    parked = read_parked(directory, trial_id) if attempt.released else None
    return parked is not None and parked.attempts == attempt.number
