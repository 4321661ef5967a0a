"""The output of ``ablate status``: the cells, the trials at work, the failures and the speed. Needs no torch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ablate.config.sweep import Trial
from ablate.console import MOST, clock, counted, first_lines, say_text
from ablate.launch.cells import MARKS, PLAIN, STYLES, View, coloured, draw, numbers, one_line, view
from ablate.launch.status import Place, Status
from ablate.launch.timing import seconds_left, trials_per_hour
from ablate.launch.watch import changes, looks
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.sweep.again import completing
from ablate.sweep.failures import failure_line
from ablate.sweep.lease import STALE

FEW = 5  # failures and further cells at most on a screen, which has little room
LEAST_GRID = 6  # lines at least for the cells
QUIET = STALE / 2  # seconds after which the silence of a running trial is marked; after STALE it counts as lost


def print_status(status: Status, console: Console) -> None:
    """Print counts, cells, begun trials with their epochs, failures with reason and log, and the next step."""
    for part in _parts(status, console, MOST, None):
        if isinstance(part, Text):
            say_text(console, part)
        else:
            console.print(part)


def watch_status(directory: Path, console: Console, every: float) -> None:
    """Show the status again and again until the sweep has ended, or until Ctrl-C; the last one stays.

    Without a terminal, print a line per change.

    Args:
        directory: the sweep's directory.
        console: the console to print to.
        every: the seconds between two looks.

    Raises:
        UsageError: it is not a sweep's directory, or is one no longer.
    """
    status = None
    try:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                for status in looks(directory, every):
                    live.update(_screen(status, console, every), refresh=True)
        else:
            for status in changes(directory, every):
                if not status.is_over:
                    say_text(console, headline(status))
    except KeyboardInterrupt:
        pass  # ending the display does not change the sweep
    if status:
        print_status(status, console)


def headline(status: Status) -> Text:
    """Return the number of trials in each state, and the jobs in the queue."""
    pruned = sum(record.status == "pruned" for record in status.records.values())
    of_them = {"done": f" ({pruned} of them pruned)"} if pruned else {}
    counts = ", ".join(
        f"{status.count(place)} {place}{of_them.get(place, '')}"
        for place in get_args(Place)
        if status.count(place) or place == "done"
    )
    sentence = f"{status.directory}: {len(status.trials)} trials: {counts}"
    if status.jobs and status.jobs.jobs:
        states = Counter(_state(job.state, job.reason) for job in status.jobs.jobs)
        told = ", ".join(f"{number} {state}" for state, number in states.most_common())
        sentence += f"; {counted(len(status.jobs.jobs), 'job')}: {told}"
    return Text(sentence)


def pace(status: Status, now: float) -> Text | None:
    """Return the speed and the time left, as in ``12.5 trials/h, about 40 min left``; None if neither is known.

    ``now`` is in unix seconds.
    """
    per_hour, left = trials_per_hour(status, now), seconds_left(status)
    told = [f"{per_hour:.3g} trials/h"] if per_hour and not status.is_complete else []
    told += [f"about {clock(left)} left"] if left else []
    return Text(", ".join(told)) if told else None


def _screen(status: Status, console: Console, every: float) -> Group:
    """Return a status that fits the terminal; the cells get the lines that the other parts leave."""
    hint = f"as of {time.strftime('%H:%M:%S')}, updated every {every:g} s; Ctrl-C ends this display, not the sweep"
    below = 6 + min(len(_begun(status)), FEW + 1) + min(len(status.failed), FEW + 1) + 2 * bool(status.failed)
    height = max(LEAST_GRID, console.height - below)
    return Group(*_parts(status, console, FEW, height), Text(hint, style="dim"))


def _parts(status: Status, console: Console, most: int, height: int | None) -> list[RenderableType]:
    parts: list[RenderableType] = [headline(status)]
    if told := pace(status, time.time()):
        parts.append(told)
    parts += cells(status, console, most, height)
    if _begun(status):
        parts.append(at_work(status, most))
    parts += _some([failure_line(status.directory, result) for result in status.failed], most, "red")
    parts += _some([f"damaged record: {path} (its trial will run again)" for path in status.damaged], most, "yellow")
    parts += _some(status.ended_jobs, most, "yellow")
    if status.note:
        parts.append(Text(status.note, style="yellow"))
    if status.is_over and status.count("interrupted", "lost", "missing", "parked"):
        parts.append(Text(f"to complete it: `{completing(status.directory, status.experiment)}`"))
    if status.failed:
        parts.append(
            Text(f"to run failed trials again: `{completing(status.directory, status.experiment, retry_failed=True)}`")
        )
    return parts


def _some(sentences: Sequence[str], most: int, style: str) -> list[Text]:
    """Return the first ``most`` sentences, and the number of the others."""
    if len(sentences) <= most:
        return first_lines(sentences, style)
    return [*first_lines(sentences[:most], style), Text(f"... and {len(sentences) - most} more", style=style)]


def cells(status: Status, console: Console, most: int, height: int | None) -> list[RenderableType]:
    """Return the grid, then the cells that have no place in it; nothing at the start of a sweep.

    Args:
        status: the status of the sweep.
        console: the console, whose width and colours count.
        most: the highest number of further cells.
        height: the highest number of lines of the grid; None for any number.
    """
    if not status.records and not status.begun:
        return []
    ascii_only = console.options.ascii_only
    seen = view(
        status,
        grid_of(sweep_rows(status.trials, status.records), status.experiment.measure, status.experiment.class_counts),
    )
    lines = draw(seen, console.width, ascii_only=ascii_only, height=height) if seen.grid.ops else []
    lines += _beside(seen, most, ascii_only=ascii_only)
    return [coloured(line) if console.color_system else line for line in lines]


def _beside(seen: View, most: int, *, ascii_only: bool) -> list[Text]:
    """Return a line for each composition beside the grid, the best first, and for each reference."""
    marks = PLAIN if ascii_only else MARKS
    spots = [*seen.further, *seen.references]
    lines = [Text(f"{spot.cell.label}: {one_line(spot, seen, marks)}") for spot in spots[:most]]
    if any(spot.cell.n for spot in seen.further):
        lines.insert(0, Text(f"{numbers(seen.grid)}; the best by validation accuracy first", style="dim"))
    return [*lines, Text(f"... and {len(spots) - most} more")] if len(spots) > most else lines


def at_work(status: Status, most: int) -> Table:
    """Return a table of the trials that have begun, running ones first.

    It shows epoch, loss, speed, host and job, and the last sign of life.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # within 80 columns
    for heading in ("trial", "seed", "state", "attempt", "epoch", "loss", "img/s", "host", "job", "last news"):
        table.add_column(heading, no_wrap=heading not in {"trial", "host"}, overflow="fold")
    begun = _begun(status)
    for trial in begun[:most]:
        table.add_row(*_row(status, trial))
    if len(begun) > most:
        table.add_row(f"... and {len(begun) - most} more")
    return table


def _begun(status: Status) -> list[Trial]:
    """Return the trials that have begun and do not wait for others, running ones first."""
    there = [trial for trial in status.at("running", "lost", "interrupted") if trial.id in status.begun]
    return sorted(there, key=lambda trial: status.places[trial.id] != "running")


def _row(status: Status, trial: Trial) -> list[Text | str]:
    attempt, progress, beat = status.begun[trial.id]
    loss, speed, place = (
        progress.metrics.get("loss"),
        progress.metrics.get("images_per_second"),
        status.places[trial.id],
    )
    silent = max(0.0, time.time() - max(progress.updated, attempt.began, beat))
    return [
        Text(trial.label),
        str(trial.seed),
        Text(place, style=STYLES[place]),
        str(attempt.number),
        f"{progress.epoch}/{trial.config.epochs}",
        f"{loss:.3f}" if isinstance(loss, float) else "",
        f"{speed:.0f}" if isinstance(speed, float) else "",
        Text(attempt.host),
        attempt.job,
        Text(clock(silent), style="yellow" if place == "running" and silent > QUIET else ""),
    ]


def _state(state: str, reason: str) -> str:
    """Return the state of a job and, if Slurm gives it, the reason why it waits: ``pending (Resources)``."""
    waits = state == "PENDING" and reason not in {"", "None"}
    return f"{state.lower()} ({reason})" if waits else state.lower()
