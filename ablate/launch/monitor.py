"""Show a sweep while it runs: the same screen by the command at work and by ``ablate status --watch``.

A screen is drawn on a terminal alone. Elsewhere (a pipe, a log, a job's output) each command prints plain lines.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from ablate.console import say, say_text
from ablate.errors import UsageError
from ablate.launch.screen import headline, line, notices, outcome, print_status, screen
from ablate.launch.status import Status
from ablate.launch.watch import Watcher, changes, looks, pause
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult, read_record

EVERY = 1.0  # seconds between looks of the command at work
LINE_EVERY = 30.0  # seconds between plain lines on the progress
AT_WORK = "Ctrl-C stops the sweep; run the same command again to resume"
WATCHES = "updated every {every:g} s; Ctrl-C ends this display, not the sweep"


@contextlib.contextmanager
def live_screen(console: Console, hint: str) -> Iterator[Callable[[Status], None]]:
    """Yield a function that draws a status over the one before; without a terminal it draws nothing.

    The last screen goes at the end of the block. If the block is left by an exception, such as Ctrl-C, it stays.

    Args:
        console: where to draw.
        hint: the last line of the screen, which says what Ctrl-C does.
    """
    if not console.is_terminal:
        yield lambda status: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            yield lambda status: live.update(screen(status, console, hint, time.time()), refresh=True)
        except BaseException:
            live.transient = False
            raise


def watch_status(directory: Path, console: Console, every: float) -> None:
    """Show the status until the sweep has ended, which is then printed in full, or until Ctrl-C.

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
        with live_screen(console, WATCHES.format(every=every)) as draw:
            for status in (looks if console.is_terminal else changes)(directory, every):
                draw(status)
                if not console.is_terminal and not status.is_over:
                    say_text(console, headline(status))
    except KeyboardInterrupt:  # ending the display does not change the sweep
        if console.is_terminal:
            return
    if status:
        print_status(status, console)


class Monitor:
    """The display of the command that trains the trials of ``directory``; it reads all that it shows from there.

    Without a terminal, it prints a line per finished trial, and every half minute one on the progress.
    """

    def __init__(self, console: Console, directory: Path, hint: str = AT_WORK) -> None:
        self.console = console
        self.watcher = Watcher(directory, asks=False)
        self.status: Status | None = None
        self.noticed: set[str] = set()
        self.said = self.due = time.monotonic()
        self._screen = live_screen(console, hint)

    def __enter__(self) -> Self:
        self._draw = self._screen.__enter__()
        self._look()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._screen.__exit__(kind, error, tb)
        if kind is None and self.status and self.console.is_terminal:
            say_text(self.console, line(self.status, time.time()))  # in place of the screen; a report follows

    def update(self) -> None:
        """Look at the directory if a look is due, and show what it says."""
        if time.monotonic() >= self.due:
            self._look()

    def end(self) -> None:
        """Show the last changes."""
        self._look()

    def _look(self) -> None:
        before, began = self.status, time.monotonic()
        try:
            self.status = self.watcher.look()
        except UsageError:
            return  # the plan was removed meanwhile; the command at work writes it again in the end
        self._draw(self.status)
        if not self.console.is_terminal:
            self._say(self.status, before)
        now = time.monotonic()
        self.due = now + pause(EVERY, now - began)

    def _say(self, status: Status, before: Status | None) -> None:
        """Print what is new: notices, finished trials and, every half minute, the progress."""
        for trial_id, notice in notices(status).items():
            if trial_id not in self.noticed:
                say(self.console, notice, "yellow")
        self.noticed |= notices(status).keys()
        if before is None:
            return
        new = sorted((result for i, result in status.records.items() if i not in before.records), key=lambda r: r.when)
        for number, result in enumerate(new, len(before.records) + 1):
            sentence, style = outcome(status, _with_last_epoch(status, result))
            say(self.console, f"[{number}/{len(status.trials)}] {sentence}", style)
        if time.monotonic() - self.said >= LINE_EVERY:
            self.said = time.monotonic()
            say_text(self.console, line(status, time.time()))


def _with_last_epoch(status: Status, result: TrialResult) -> TrialResult:
    """Return the record of a pruned trial with the end of its history, which the records of a status lack."""
    if result.status != "pruned":
        return result
    return read_record(SweepDir(status.directory).record(result.id), points=1)
