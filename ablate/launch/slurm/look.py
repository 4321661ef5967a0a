"""One look at the scheduler and the disk: the trials that are queued, held, or lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablate.config.sweep import Trial
from ablate.files import names_in, tail
from ablate.launch.slurm import cluster
from ablate.launch.slurm.past import Past, over, past, submissions
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.holders import holder
from ablate.sweep.layout import SweepDir
from ablate.sweep.survey import survey


@dataclass(frozen=True)
class Look:
    """The current state according to the scheduler and the disk.

    ``busy``: the trials that a queued job will run or a process holds. ``mine``: how many jobs the user has queued.
    """

    past: Past
    trials: dict[str, Trial]
    busy: set[str]
    lost: dict[str, Attempt]
    mine: int
    tell: cluster.Tell


def look(directory: Path, trials: Iterable[Trial], tell: cluster.Tell, patience: float | None = None) -> Look:
    """Ask the scheduler once what is queued, without changing anything.

    Args:
        directory: the sweep's directory.
        trials: the trials of the plan.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: the default.
    """
    earlier = submissions(directory)
    users = {cluster.me(), *(submission.user for submission in earlier)}
    jobs = cluster.queue(users, tell=tell, patience=patience)
    then = past(earlier, jobs)
    by_id = {trial.id: trial for trial in trials}
    busy, lost = set(then.queued), {}
    known = {array.job_id for submission in then.submissions for array in submission.arrays}
    queued = {job.id for job in then.jobs}
    for trial_id in (by_id.keys() & names_in(SweepDir(directory).running)) - busy:
        attempt = last_attempt(directory, trial_id)
        if attempt and attempt.job.partition("_")[0] in known:  # a job of ours: the scheduler knows its state
            if attempt.job in queued:
                busy.add(trial_id)
            elif not attempt.released:
                lost[trial_id] = attempt
        elif holder(directory, trial_id):
            busy.add(trial_id)
    return Look(then, by_id, busy, lost, sum(job.user == cluster.me() for job in jobs), tell)


def killed_for_memory(directory: Path, now: Look) -> dict[str, str]:
    """Return the trials that a job held when Slurm ended it for its memory, each with the id of that job.

    This takes one question to accounting.
    """
    missing = {trial.id for trial in survey(directory, [now.trials[trial_id] for trial_id in now.lost]).missing}
    held = {trial_id: attempt.job for trial_id, attempt in now.lost.items() if trial_id in missing}
    endings = cluster.endings({job.partition("_")[0] for job in held.values()})
    logs = {job: log for job, _, log in over(now.past, directory)}

    def was_killed(job: str) -> bool:
        if job in endings:
            return endings[job] == "OUT_OF_MEMORY"
        return job in logs and "oom-kill" in tail(logs[job])  # without accounting: the last lines of slurmstepd

    return {trial_id: job for trial_id, job in held.items() if was_killed(job)}
