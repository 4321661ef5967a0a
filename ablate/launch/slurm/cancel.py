"""Cancel the jobs of a sweep and of its calibration. Needs no torch."""

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
from ablate.sweep.calibrations import calibrated
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.survey import survey


def cancel_sweep(directory: Path, confirm: Callable[[str], bool] | None, console: Console) -> int:
    """Cancel the waiting and running jobs of a sweep and of its calibration; records and checkpoints are kept.

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
    load_plan(directory)
    submitted = {place: submissions(place) for place in (directory, *calibrated(directory))}
    earlier = [submission for there in submitted.values() for submission in there]
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
    places = [place for place, there in submitted.items() if past(there, mine).jobs]
    below = " and its calibration" if places != [directory] else ""
    what = f"{counted(len(mine), 'job')} of {directory}{below} ({states})"
    if confirm is None:
        raise UsageError(f"cancel {what}? There is no terminal to ask on: add --yes")
    if not confirm(what):
        say(console, "nothing was cancelled")
        return ExitCode.DONE
    for place in places:  # first: a command that waits for the jobs must not submit others in between
        note_cancelling(place)
    try:
        cluster.cancel({job.array for job in mine})
    except ClusterError:
        for place in places:
            forget_cancelling(place)
        raise
    say(console, f"cancelled {counted(len(mine), 'job')}; {_left(places)}")
    return ExitCode.DONE


def _left(places: list[Path]) -> str:
    """Return how many trials of these sweeps are done and missing, and the commands that continue them."""
    plans = {place: load_plan(place) for place in places}
    states = [survey(place, plan(experiment)) for place, experiment in plans.items()]
    done, missing = sum(len(state.finished) for state in states), sum(len(state.missing) for state in states)
    again = dict.fromkeys(f"`{completing(place, experiment)}`" for place, experiment in plans.items())
    return f"{counted(done, 'trial')} done, {missing} missing; to continue: {', '.join(again)}"
