"""Find out about earlier submissions: which of their jobs are still queued, and which trials these hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ablate.console import counted
from ablate.errors import ClusterError
from ablate.launch.slurm import cluster
from ablate.launch.slurm.answers import QueuedJob
from ablate.launch.slurm.submission import Array, Submission, read_submission
from ablate.sweep.layout import SweepDir


@dataclass(frozen=True)
class Past:
    """Earlier submissions, oldest first, and the scheduler's jobs that belong to them.

    ``unfinished``: the tokens of the submissions whose files lack a job id.
    """

    submissions: list[Submission]
    jobs: list[QueuedJob]
    unfinished: set[str]

    @cached_property
    def queued(self) -> dict[str, QueuedJob]:
        """The queued jobs, by the id of each trial that they will run."""
        return {
            trial_id: job
            for submission in self.submissions
            for array in submission.arrays
            for job in self.of(array)
            if job.task < array.count
            for trial_id in submission.packs[array.first + job.task]
        }

    def of(self, array: Array) -> list[QueuedJob]:
        """Return the queued jobs of ``array``, found by its name; its id alone may belong to another job by now."""
        return [job for job in self._by_name[array.name] if array.job_id in {None, job.array}]

    @cached_property
    def _by_name(self) -> dict[str, list[QueuedJob]]:
        named: dict[str, list[QueuedJob]] = defaultdict(list)
        for job in self.jobs:
            named[job.name].append(job)
        return named


def submissions(directory: Path) -> list[Submission]:
    """Read all submissions in ``DIR/jobs``, oldest first; damaged files are left out."""
    known = []
    for path in SweepDir(directory).jobs.glob("[!.]*.json"):
        try:
            known.append(read_submission(directory, path.stem))
        except (OSError, ValueError):
            continue
    return sorted(known, key=lambda submission: (submission.created, submission.token))


def past(earlier: list[Submission], queue: Iterable[QueuedJob]) -> Past:
    """Find the jobs of ``earlier`` in the scheduler's queue, and add job ids that submissions lack."""
    names = {array.name for submission in earlier for array in submission.arrays}
    jobs = [job for job in queue if job.name in names]
    ids = {job.name: job.array for job in jobs}

    def adopted(array: Array) -> Array:
        return array if array.job_id else array.replace(job_id=ids.get(array.name))

    complete = [s.replace(arrays=tuple(map(adopted, s.arrays))) for s in earlier]
    return Past(complete, jobs, {s.token for s in earlier if any(array.job_id is None for array in s.arrays)})


def look_up(directory: Path) -> tuple[Past | None, str]:
    """Look up the sweep's submissions, with one question to the scheduler.

    Returns:
        The submissions and their jobs, and a sentence if the scheduler does not answer. The first is None if nothing
        was ever submitted, or if the scheduler cannot be asked.
    """
    earlier = submissions(directory)
    if not earlier:
        return None, ""
    if not cluster.is_here():
        jobs = sum(array.count for submission in earlier for array in submission.arrays)
        note = f"submitted: {counted(jobs, 'job')}"
        return None, f"{note}; to see which are still queued, run this command on a machine with squeue"
    try:
        return past(earlier, cluster.queue({submission.user for submission in earlier}, patience=0)), ""
    except ClusterError as trouble:
        return None, f"this comes from the files alone; {trouble}"


def over(then: Past, directory: Path) -> list[tuple[str, set[str], Path]]:
    """Return the tasks that are no longer queued.

    Each has its id, its trials that no later submission has taken over, and the path of its log.
    """
    queued = {job.id for job in then.jobs}
    taken: set[str] = set()
    ended: list[tuple[str, set[str], Path]] = []
    for submission in reversed(then.submissions):
        mine = []
        for array in submission.arrays:
            for task in range(array.count if array.job_id else 0):
                trials = set(submission.packs[array.first + task]) - taken
                name = task_id(array, task)
                if name not in queued:
                    mine.append((name, trials, SweepDir(directory).job(submission.token) / f"{name}_0_log.err"))
        ended[:0] = mine
        taken.update(trial_id for pack in submission.packs for trial_id in pack)
    return ended


def home(earlier: Iterable[Submission], trial_id: str) -> tuple[Submission, Array, int] | None:
    """Return the last submission of a trial that has a job id, the trial's array, and its task in that array."""
    for submission in reversed(list(earlier)):
        for number, pack in enumerate(submission.packs):
            if trial_id in pack:
                for array in submission.arrays:
                    if array.job_id and array.first <= number < array.first + array.count:
                        return submission, array, number - array.first
    return None


def task_id(array: Array, task: int) -> str:
    """Return the id of a task in Slurm and submitit: ``17_3``, or ``17`` if the array is a plain job."""
    return f"{array.job_id}_{task}" if array.count > 1 else str(array.job_id)
