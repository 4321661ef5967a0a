"""What ``ablate status`` shows: the cells, what is at work, what failed, how fast it goes. Imports no torch, no pandas."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablate.config import Trial
from ablate.console import MOST, counted, first_lines
from ablate.lease import STALE
from ablate.report.cells import STYLES, Spot, Terminal, View, draw, one_line, view
from ablate.report.grid import Grid, grid_of, sweep_rows
from ablate.sweep.eta import clock
from ablate.sweep.pace import seconds_left, trials_per_hour
from ablate.sweep.status import Begun, Place, Status, failure_line, reason

BAR = 30  # columns
LEAST_LABEL = 12  # columns of a trial's name; before it gets fewer, columns are left out
OPTIONAL = ("host", "attempt", "job", "last epoch", "images/s")  # columns, in the order in which they go
IN_ORDER: tuple[Place, ...] = ("running", "lost", "interrupted")


def grid_so_far(status: Status) -> Grid:
    """The grid of the records that there are."""
    return grid_of(sweep_rows(status.trials, status.records))


def headline(status: Status) -> Text:
    """How many trials are where, and the jobs that are queued."""
    counts = ", ".join(
        f"{status.count(place)} {place}" for place in get_args(Place) if status.count(place) or place == "done"
    )
    sentence = f"{status.directory}: {len(status.trials)} trials: {counts}"
    if status.jobs and status.jobs.jobs:
        states = Counter(_state(job.state, job.reason) for job in status.jobs.jobs)
        told = ", ".join(f"{number} {state}" for state, number in states.most_common())
        sentence += f"; {counted(len(status.jobs.jobs), 'job')}: {told}"
    return Text(sentence)


def print_status(status: Status, console: Console) -> None:
    """Counts, cells, running trials with their epoch, failures with reason and log, and what to do next."""
    terminal = Terminal(console.width, None, console.options.ascii_only, console.color_system is not None)
    seen, now = view(status, grid_so_far(status)), time.time()
    parts: list[RenderableType] = [headline(status)]
    if speed := pace(status, now):
        parts.append(Text(speed))
    parts += [*_cells(seen, terminal), *beside(seen, terminal)]
    if status.begun:
        parts.append(at_work(status, terminal, now, MOST))
    for part in [*parts, *failures(status), *notices(status), *advice(status)]:
        console.print(part, soft_wrap=isinstance(part, Text))


@dataclass(frozen=True)
class Screen:
    """A status as one screen, whatever its size; ``seen`` in unix seconds is when the disk was looked at."""

    status: Status
    grid: Grid
    seen: float
    every: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The parts that fit, the cells first."""
        height = options.height or console.height
        terminal = Terminal(options.max_width, height, options.ascii_only, console.color_system is not None)
        yield from screen(self.status, self.grid, terminal, self.seen, self.every)


def screen(status: Status, grid: Grid, terminal: Terminal, seen: float, every: float) -> list[RenderableType]:
    """``status`` in at most ``terminal.height`` lines, if that is ten or more.

    A third of the room is kept for what stands below the cells, and a third of that for failures, if there are so many.
    """
    now = time.time()
    assert terminal.height is not None
    top: list[RenderableType] = [_one_line(headline(status), terminal, bold=True), _pace_line(status, terminal, now)]
    hint = f"as of {time.strftime('%H:%M:%S', time.localtime(seen))}, every {every:g} s; Ctrl-C leaves, and changes nothing"
    room = terminal.height - len(top) - 1
    cells = view(status, grid)
    below = min(len(status.begun) + 1 + len(status.failed) + 2 * bool(cells.references or cells.further), room // 3)
    middle: list[RenderableType] = []
    told = [_one_line(notice, terminal) for notice in notices(status, 2)]
    middle += _cells(cells, terminal, room - below - len(told))
    middle += beside(cells, terminal, lines=2 if grid.ops else max(2, room // 2))
    room -= len(middle) + len(told)
    kept = min(len(status.failed) + 1, max(2, room // 3)) if status.failed else 0
    rows = min(len(status.begun), room - kept - 1)
    work: list[RenderableType] = [at_work(status, terminal, now, rows)] if rows > 0 else []
    room -= (rows + 1) * bool(work)
    return [*top, *middle, *work, *failures_in(status, terminal, room), *told, Text(hint, style="dim", overflow="crop")]
