"""Write finished trials to an experiment tracker while a command trains a sweep; its faults never stop the sweep."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

from rich.console import Console

from ablate.console import command, say
from ablate.errors import UsageError, unknown
from ablate.files import names_in
from ablate.launch.watch import pause
from ablate.report.data.results import read_sweep
from ablate.report.trackers.run import Tracker
from ablate.report.trackers.write import WRITERS, check_tracker, open_tracker, write_sweep, write_trials
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan

EVERY = 30.0  # seconds between looks for trials that have finished


def tracked(text: str, directory: Path) -> tuple[str, str | None]:
    """Return the tracker that ``--track`` names, and the directory for its runs, None for the default one.

    Args:
        text: ``NAME`` or ``NAME:DIR``.
        directory: the sweep's directory.

    Raises:
        UsageError: an unknown tracker, a missing package, or a directory in which nothing can be written.
    """
    name, colon, out = text.partition(":")
    if name not in WRITERS:
        raise unknown("tracker", name, WRITERS)
    if colon and not out:
        raise UsageError(f"--track {text} names no directory; write `--track {name}` or `--track {name}:DIR`")
    place = str(Path(out).expanduser()) if out else None
    check_tracker(name, directory, place, "--track")
    return name, place


@contextlib.contextmanager
def tracking(directory: Path, track: str | None, console: Console) -> Iterator[None]:
    """Write the trials that finish inside the block to a tracker, and at its end all that the tracker lacks.

    A block that is left by an exception, such as Ctrl-C, leaves the rest to the next command.

    Args:
        directory: the sweep's directory.
        track: the tracker, as :func:`tracked` takes it; None: there is none.
        console: where to say where the runs are, and what went wrong.
    """
    if track is None:
        yield
        return
    follower = _Follower(directory, *tracked(track, directory), console)
    follower.start()
    try:
        yield
        follower.to_the_end = True
    finally:
        follower.ended.set()
        follower.join()


class _Follower(threading.Thread):
    """The thread that writes runs: a slow tracker, or one that hangs, must not keep workers waiting for trials."""

    def __init__(self, directory: Path, name: str, out: str | None, console: Console) -> None:
        super().__init__(name=f"track-{name}", daemon=True)
        self.directory, self.tracker, self.out, self.console = directory, name, out, console
        self.ended, self.to_the_end = threading.Event(), False
        self._opened: Tracker | None = None
        self._seen: set[str] = set()
        self._fault = ""

    def run(self) -> None:
        """Look for finished trials until the block ends; a look takes at most a tenth of the time."""
        took = 0.0
        while not self.ended.wait(pause(EVERY, took)):
            began = time.monotonic()
            self._attempt(self._write_new)
            took = time.monotonic() - began
        if self.to_the_end:
            self._attempt(self._write_all)

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write; of a fault, say one sentence and keep the traceback, unless it is the last one again."""
        try:
            write()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}".partition("\n")[0]
            if fault == self._fault:
                return
            self._fault, log = fault, SweepDir(self.directory).log(f"tracker-{self.tracker}")
            with contextlib.suppress(OSError):
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("a", encoding="utf-8") as file:
                    traceback.print_exc(file=file)
            to = ["--to", self.tracker, *(["--out", self.out] if self.out else [])]
            later = (
                f"the sweep is not affected, and {command('ablate', 'export', self.directory, *to)} writes them later"
            )
            say(self.console, f"{self.tracker} did not take the runs ({fault}); {later} (traceback: {log})", "yellow")

    def _write_new(self) -> None:
        """Write the trials whose records are new since the last look; only these records are read."""
        there = names_in(SweepDir(self.directory).trials)
        if new := there - self._seen:
            trials = (trial for trial in plan(load_plan(self.directory)) if f"{trial.id}.json" in new)
            write_trials(self.directory, takewhile(lambda _: not self.ended.is_set(), trials), self._open())
            self._seen = there

    def _write_all(self) -> None:
        if names_in(SweepDir(self.directory).trials):
            write_sweep(read_sweep(self.directory), self._open())

    def _open(self) -> Tracker:
        """Open the tracker once there is something to write, since its package takes seconds to import."""
        if self._opened is None:
            self._opened = open_tracker(self.tracker, self.directory, self.out)
            say(self.console, f"{self._opened.place} has the finished trials; to see them: {self._opened.look}")
        return self._opened
