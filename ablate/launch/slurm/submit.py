"""Submit the missing trials, whatever happened to earlier submissions; the same command completes and repairs.

Before sbatch is called, DIR/jobs/<token>.json describes what is about to be submitted, under unique names: if the
command ends before the answer is stored, the next command finds the jobs by name. The scheduler is called only a few
times: once per array, and for a few questions.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan, Trial
from ablate.console import clock, command, counted, say
from ablate.errors import ClusterRefused, ExitCode, UsageError
from ablate.files import names_in, tail, write_atomically
from ablate.launch.local import make_way
from ablate.launch.slurm import cluster
from ablate.launch.slurm.packing import Limits, Packing, pack
from ablate.launch.slurm.past import Past, home, over, past, submissions
from ablate.launch.slurm.resources import side_by_side
from ablate.launch.slurm.script import batch_script, hand_over
from ablate.launch.slurm.submission import Array, Submission, write_submission
from ablate.report.correction import take_back
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Attempt, holder, last_attempt
from ablate.sweep.lock import sole_user
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import check_seeds, short_of
from ablate.sweep.record import MEMORY_ADVICE, OUT_OF_MEMORY, Failure, failed_from_outside, write_record
from ablate.sweep.survey import summary, survey


def submit_sweep(
    directory: Path,
    experiment: SweepPlan,
    cache: Path,
    retry_failed: bool,
    console: Console,
    *,
    until: int | None = None,
) -> int:
    """Submit the missing trials that no queued job will run and no process holds.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        cache: where the decoded images are.
        retry_failed: also run failed trials again.
        console: where to say what is submitted.
        until: submit only the cells that have not reached the end of this epoch, to train up to it; None: submit all
            trials, to train to their end.

    Returns:
        The exit code: 0 submitted, or all done; 1 some trials have failed and nothing is queued, or the cluster stopped
        accepting jobs before all were submitted.

    Raises:
        UsageError: another command is at work in ``directory``; sbatch refuses the jobs; there is no Slurm here.
        ClusterError: the controller does not answer; the same command continues from there.
    """
    check_name(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with sole_user(directory):
        before = load_plan(directory).slurm if (SweepDir(directory).plan).is_file() else None
        experiment = merge_with_existing(directory, experiment)
        assert experiment.slurm is not None
        check_seeds(directory, experiment)
        trials = plan(experiment)
        now = look(directory, trials, tell=lambda sentence: say(console, sentence, "yellow"))
        _write_down(directory, now.past)
        for trial_id, job_id in killed_for_memory(directory, now).items():
            _record_killed(directory, now.trials[trial_id], job_id)
        state = survey(directory, trials, prunes=bool(experiment.prune))
        state = replace(state, failed=[result for result in state.failed if result.id not in now.busy])
        undone = make_way(directory, trials, state, retry_failed, console)
        to_run = [trial.id for trial in short_of(directory, undone, until)]
        waiting = [trial_id for trial_id in to_run if trial_id not in now.busy]
        say(console, summary(trials, state, retry_failed) + (f"; now up to epoch {until}" if until else ""))
        if len(waiting) < len(to_run):
            say(console, f"of these, {len(to_run) - len(waiting)} queued or running already")
        if not waiting:
            say(console, "nothing to submit")
            save_plan(directory, experiment)
            take_back(directory, undone, console)
            return ExitCode.FAILED if state.failed and not undone else ExitCode.DONE
        packing = arrange(waiting, experiment, limits_for(experiment.slurm, now.mine, now.tell))
        submission = draw_up(directory, experiment.slurm, cache, packing, until)
        save_plan(directory, experiment)
        take_back(directory, undone, console)
        try:
            return _submit(directory, submission, packing, now.tell, console)
        except UsageError:
            save_plan(directory, experiment.replace(slurm=before))
            raise


def check_name(directory: Path) -> None:
    """Raise UsageError if Slurm would read the directory's name as a pattern."""
    if "%" in str(directory.absolute()):
        raise UsageError(
            f"--out {directory}: Slurm replaces what follows a % in the names of files; choose another name"
        )


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


def _record_killed(directory: Path, trial: Trial, job_id: str) -> None:
    found = home(submissions(directory), trial.id)
    memory = found and found[0].slurm.memory
    message = (
        f"Slurm ended job {job_id} for using more memory than {memory or 'it had'}; ask for more with --mem; "
        f"{MEMORY_ADVICE}"
    )
    attempt = last_attempt(directory, trial.id)
    failure = Failure(type=OUT_OF_MEMORY, message=message, traceback="")
    write_record(directory, failed_from_outside(trial, failure, attempt.number if attempt else 1))


def _write_down(directory: Path, then: Past) -> None:
    """Write the job ids and pickles that an earlier command did not write, and remove what was never submitted."""
    for submission in then.submissions:
        for array in submission.arrays:
            if array.job_id and then.of(array):
                hand_over(directory, submission.token, array, submission.slurm)
        if submission.token in then.unfinished:
            _keep_submitted(directory, submission)


def _keep_submitted(directory: Path, submission: Submission) -> None:
    """Write ``submission`` without the arrays that sbatch did not accept; remove it if no array is left."""
    arrays = tuple(array for array in submission.arrays if array.job_id)
    if arrays:
        write_submission(directory, submission.replace(arrays=arrays))
    elif submission.user == cluster.me():
        SweepDir(directory).submission(submission.token).unlink(missing_ok=True)
        folder = SweepDir(directory).job(submission.token)
        if not any(folder.glob("*_log.*")):  # a job that ended before its id was known has left its log there
            shutil.rmtree(folder, ignore_errors=True)


def limits_for(slurm: Slurm, mine: int, tell: cluster.Tell, patience: float | None = None) -> Limits:
    """Return the cluster's limits for jobs like ``slurm``.

    Args:
        slurm: the resources of each job.
        mine: how many jobs the user has queued.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: the default.

    Raises:
        UsageError: there is no such partition, or its jobs may not run so long.
    """
    site = cluster.limits(slurm.partition, slurm.account, slurm.qos, tell=tell, patience=patience)
    if site.time is not None and slurm.time > site.time:
        where = f"partition {slurm.partition}" if slurm.partition else "the default partition"
        raise UsageError(
            f"--time {slurm.time}: jobs in {where} may run {clock(60 * site.time)} at most (--time {site.time}); "
            "a trial that needs longer continues in the next job"
        )
    room = None if site.jobs is None else max(0, site.jobs - mine)
    return Limits(Limits.array_size if site.array_size is None else site.array_size, room)


def arrange(waiting: list[str], experiment: SweepPlan, limits: Limits) -> Packing:
    """Lay out the waiting trials in jobs.

    Args:
        waiting: the ids of the trials.
        experiment: the sweep's plan.
        limits: the cluster's limits.

    Raises:
        UsageError: the cluster allows no further job.
    """
    assert experiment.slurm is not None
    slurm = experiment.slurm
    together = side_by_side(slurm, experiment.shared)
    packing = pack(waiting, together, limits, slurm.trials_per_job, slurm.max_parallel)
    if not packing.packs:
        raise UsageError(
            f"you have as many jobs in the queue as the cluster allows; {len(waiting)} trials are left: run the same "
            "command again later to submit them"
        )
    return packing


def left_over(packing: Packing) -> str:
    """Describe the trials that did not fit, and how to submit them."""
    return (
        f"{counted(packing.left, 'trial')} {'is' if packing.left == 1 else 'are'} left, since no more jobs are allowed "
        "at a time: run the same command again later to submit them, or use a larger --trials-per-job now"
    )


def draw_up(directory: Path, slurm: Slurm, cache: Path, packing: Packing, until: int | None = None) -> Submission:
    """Return the submission of ``packing`` under a new token, without writing it.

    Args:
        directory: the sweep's directory.
        slurm: the resources of each job.
        cache: where the decoded images are.
        packing: the layout of trials in jobs.
        until: the epoch after which trials are parked; None: they are trained to the end.
    """
    token = secrets.token_hex(4)
    sweep = re.sub(r"[^\w.-]", "_", directory.absolute().name, flags=re.ASCII)[:40]
    return Submission(
        token=token,
        created=time.time(),
        user=cluster.me(),
        host=socket.gethostname(),
        cache=str(cache.absolute()),
        slurm=slurm,
        until=until,
        packs=packing.packs,
        arrays=tuple(
            Array(name=f"ablate-{sweep}-{token}-{n}", first=first, count=count)
            for n, (first, count, _) in enumerate(packing.arrays)
        ),
    )


def _submit(directory: Path, submission: Submission, packing: Packing, tell: cluster.Tell, console: Console) -> int:
    """Call sbatch once per array, and store each job id at once."""
    write_submission(directory, submission)
    folder = SweepDir(directory).job(submission.token)
    for n, (array, (_, _, at_once)) in enumerate(zip(submission.arrays, packing.arrays, strict=True)):
        script = folder / f"{n}.sh"
        write_atomically(script, batch_script(directory, submission.token, array, submission.slurm, at_once))
        try:
            job_id = cluster.submit(script, array.name, tell=tell)
        except ClusterRefused as refusal:
            _keep_submitted(directory, submission)
            if not n:
                raise UsageError(f"{refusal}; nothing was submitted") from None
            _announce(directory, submission, console)
            left = sum(len(pack) for pack in submission.packs[array.first :]) + packing.left
            say(console, f"{refusal}; {left} trials are left: run the same command again later to submit them", "red")
            return ExitCode.FAILED
        submission = _with_id(submission, n, job_id)
        write_submission(directory, submission)
        hand_over(directory, submission.token, submission.arrays[n], submission.slurm)
    _announce(directory, submission, console)
    if packing.left:
        say(console, left_over(packing), "yellow")
    return ExitCode.DONE


def _with_id(submission: Submission, number: int, job_id: str) -> Submission:
    arrays = [array.replace(job_id=job_id) if n == number else array for n, array in enumerate(submission.arrays)]
    return submission.replace(arrays=tuple(arrays))


def _announce(directory: Path, submission: Submission, console: Console) -> None:
    """Say what was submitted, and how to follow it."""
    taken = [array for array in submission.arrays if array.job_id]
    trials = sum(len(pack) for array in taken for pack in submission.packs[array.first : array.first + array.count])
    jobs = sum(array.count for array in taken)
    ids = ", ".join(str(array.job_id) for array in taken)
    say(
        console,
        f"submitted {counted(jobs, 'job')} for {counted(trials, 'trial')}: {ids} ({describe(submission.slurm)})",
    )
    follow, stop = command("ablate", "status", directory), command("ablate", "cancel", directory)
    say(console, f"to follow: {follow}; to stop: {stop}")


def describe(slurm: Slurm) -> str:
    """Describe the resources of one job: ``partition gpu, 2 GPUs, 2 cores, up to 4 h 00 min``."""
    nodes = f"{slurm.nodes} nodes, on each " if slurm.nodes > 1 else ""
    gpus = f"{counted(slurm.gpus, 'GPU')}, " if slurm.gpus else "CPUs only, "
    where = f"partition {slurm.partition}" if slurm.partition else "the default partition"
    memory = f", {slurm.memory} of memory" if slurm.memory else ""
    return f"{where}, {nodes}{gpus}{counted(slurm.cpus, 'core')}{memory}, up to {clock(60 * slurm.time)}"
