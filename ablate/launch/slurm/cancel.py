"""Cancel a sweep's jobs. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.console import counted, say
from ablate.errors import ClusterError, ExitCode, UsageError
from ablate.launch.slurm import cluster
from ablate.launch.slurm.past import past, submissions
from ablate.launch.slurm.submission import forget_cancelling, note_cancelling
from ablate.sweep.again import completing
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.survey import survey


def cancel_sweep(directory: Path, confirm: Callable[[str], bool] | None, console: Console) -> int:
    """Cancel the waiting and running jobs of a sweep; its trials keep their records and checkpoints.

    Args:
        directory: the sweep's directory.
        confirm: called first, with a description of the jobs; if it returns False, nothing is cancelled. None: there is
            no terminal to ask on.
        console: where to say what was cancelled.

    Returns:
        The exit code, which is 0.

    Raises:
        UsageError: the directory is not a sweep's, or confirmation is needed and there is no terminal to ask on.
        ClusterError: the scheduler does not cancel the jobs.
    """
    experiment = load_plan(directory)
    earlier = submissions(directory)
    users = {cluster.me(), *(submission.user for submission in earlier)}
    jobs = past(earlier, cluster.queue(users, tell=lambda s: say(console, s, "yellow"))).jobs if earlier else []
    mine = [job for job in jobs if job.user == cluster.me()]
    if len(mine) < len(jobs):
        say(console, f"not cancelled: {counted(len(jobs) - len(mine), 'job')} of other users", "yellow")
    if not mine:
        say(console, f"nothing to cancel: no job of {directory} is queued")
        return ExitCode.DONE
    states = ", ".join(
        f"{number} {state.lower()}" for state, number in Counter(job.state for job in mine).most_common()
    )
    what = f"{counted(len(mine), 'job')} of {directory} ({states})"
    if confirm is None:
        raise UsageError(f"cancel {what}? There is no terminal to ask on: add --yes")
    if not confirm(what):
        say(console, "nothing was cancelled")
        return ExitCode.DONE
    note_cancelling(directory)  # first: a command that waits for the jobs must not submit others in between
    try:
        cluster.cancel({job.array for job in mine})
    except ClusterError:
        forget_cancelling(directory)
        raise
    state = survey(directory, plan(experiment))
    say(
        console,
        f"cancelled {counted(len(mine), 'job')}; {counted(len(state.finished), 'trial')} done, "
        f"{len(state.missing)} missing; to continue: `{completing(directory, experiment)}`",
    )
    return ExitCode.DONE
