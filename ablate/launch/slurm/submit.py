"""Submit the missing trials, whatever happened to earlier submissions; the same command completes and repairs.

Before sbatch is called, DIR/jobs/<token>.json describes what is about to be submitted, under unique names: if the
command ends before the answer is stored, the next command finds the jobs by name. The scheduler is called only a few
times: once per array, and for a few questions.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan, Trial
from ablate.console import command, counted, say
from ablate.errors import ClusterRefused, ExitCode, LostLease, UsageError
from ablate.files import write_atomically
from ablate.launch.local import make_way
from ablate.launch.slurm import cluster
from ablate.launch.slurm.draft import arrange, check_name, describe, draw_up, left_over, limits_for
from ablate.launch.slurm.look import Look, killed_for_memory, look
from ablate.launch.slurm.packing import Packing
from ablate.launch.slurm.past import Past, home, submissions
from ablate.launch.slurm.script import batch_script, hand_over
from ablate.launch.slurm.submission import Submission, write_submission
from ablate.report.correction import take_back
from ablate.sweep.attempts import Attempt
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit
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
        _repair(directory, now)
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


def _repair(directory: Path, now: Look) -> None:
    """Write what earlier commands and jobs did not: job ids, pickles, and records of trials that Slurm ended."""
    _write_down(directory, now.past)
    for trial_id, job_id in killed_for_memory(directory, now).items():
        with contextlib.suppress(LostLease):  # a later job has begun it meanwhile
            _record_killed(directory, now.trials[trial_id], now.lost[trial_id], job_id)


def _record_killed(directory: Path, trial: Trial, attempt: Attempt, job_id: str) -> None:
    submitted = home(submissions(directory), trial.id)
    memory = submitted and submitted[0].slurm.memory
    message = (
        f"Slurm ended job {job_id} for using more memory than {memory or 'it had'}; ask for more with --mem; "
        f"{MEMORY_ADVICE}"
    )
    failure = Failure(type=OUT_OF_MEMORY, message=message, traceback="")
    write_record(inherit(directory, trial.id, attempt), failed_from_outside(trial, failure, attempt.number))


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
