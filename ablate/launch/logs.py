"""Print the log of a trial and, if it has no result, that of its job. Needs neither torch nor pandas."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ablate.config.sweep import Trial, is_named
from ablate.console import say, say_as_it_is
from ablate.errors import ExitCode, UsageError, unknown
from ablate.files import tail
from ablate.launch.slurm.past import home, submissions, task_id
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.survey import survey

JOB_LINES = 20


def print_log(directory: Path, cell: str, seed: int | None, lines: int | None, console: Console) -> int:
    """Print the log of a trial and, if it has no result, the end of its job's log.

    Args:
        directory: the sweep's directory.
        cell: a label (``crop+color``), the name of a reference, or a trial's id.
        seed: the trial's seed; None: the first trial of that name.
        lines: how many of the last lines to print; None: all of the trial's log.
        console: where to print.

    Returns:
        The exit code: 1 if there is nothing to print, else 0.

    Raises:
        UsageError: there is no such cell or seed.
    """
    trial = find(plan(load_plan(directory)), cell, seed)
    path = SweepDir(directory).log(trial.id)
    has_log = path.is_file() and path.stat().st_size > 0
    if has_log:
        say(console, f"{trial.called} seed {trial.seed}: {path}", "dim")
        _print(path, lines, console)
    done = bool(survey(directory, [trial]).finished)
    job_log = None if done else _job_log(directory, trial.id)
    if job_log:
        say(console, f"its job: {job_log}", "dim")
        _print(job_log, lines or JOB_LINES, console)
    if not has_log and not job_log:
        say(console, f"{trial.called} seed {trial.seed} has no log yet")
        return ExitCode.FAILED
    return ExitCode.DONE


def find(trials: list[Trial], cell: str, seed: int | None) -> Trial:
    """Return the trial with the name ``cell`` and the seed ``seed``.

    Args:
        trials: the trials of the plan.
        cell: a label, the name of a reference, or a trial's id.
        seed: the trial's seed; None: the first trial of that name.

    Raises:
        UsageError: there is no such trial; the message names the nearest match.
    """
    for trial in trials:
        if trial.id == cell:
            return trial
    named = [trial for trial in trials if is_named(cell, trial.label, trial.called)]
    if not named:
        raise unknown("cell", cell, list(dict.fromkeys(trial.label for trial in trials)))
    chosen = [trial for trial in named if seed is None or trial.seed == seed]
    if not chosen:
        raise UsageError(f"{cell} has no seed {seed}; there are {', '.join(str(trial.seed) for trial in named)}")
    return chosen[0]


def _job_log(directory: Path, trial_id: str) -> Path | None:
    """Return the path of the standard error of the trial's last job; None if there is none, or it is empty."""
    job = home(submissions(directory), trial_id)
    if job is None:
        return None
    submission, array, task = job
    path = SweepDir(directory).job(submission.token) / f"{task_id(array, task)}_0_log.err"
    return path if path.is_file() and path.stat().st_size else None


def _print(path: Path, lines: int | None, console: Console) -> None:
    text = tail(path, lines) if lines else path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    say_as_it_is(console, text)
