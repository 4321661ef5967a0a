"""Watch a sweep until it has ended. Needs no torch.

``for status in changes(directory, every): ...`` is all that a command with ``--watch`` needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ablate.errors import UsageError
from ablate.launch.reader import Reader
from ablate.launch.slurm.past import Past, look_up
from ablate.launch.status import Status, sweep_status

EVERY = 5.0  # default seconds between looks at the disk
SHARE = 10  # looks are at least this many times the duration of a look apart
ASK = 30.0  # seconds between questions to the scheduler


class Watcher:
    """Look at a sweep's directory again and again.

    Unchanged files are not read again. The scheduler is asked every half minute, if at all; while it does not answer,
    its last answer is kept. If the disk fails for a while, the status has a note.

    Args:
        directory: the sweep's directory.
        asks: False: never ask the scheduler. An answer may take half a minute, for which workers cannot wait.
    """

    def __init__(self, directory: Path, *, asks: bool = True) -> None:
        self.directory = directory
        self._reader = Reader(directory)
        self._asks = asks
        self._asked = -math.inf
        self._jobs: Past | None = None
        self._note = ""
        self._last: Status | None = None

    def look(self) -> Status:
        """Return the status now.

        Raises:
            UsageError: the directory is not a sweep's, or no longer is.
        """
        now = time.monotonic()
        if self._asks and now - self._asked >= ASK:
            past, self._note = look_up(self.directory)
            self._jobs, self._asked = past or self._jobs, now
        if self._last is None:
            self._last = _first(self.directory, self._jobs, self._note, self._reader)
        else:
            self._last = _next(self._last, self._jobs, self._note, self._reader)
        return self._last


def pause(every: float, took: float) -> float:
    """Return the seconds until the next look: ``every``, or ten times the seconds that the last one took."""
    return max(every, SHARE * took)


def looks(directory: Path, every: float) -> Iterator[Status]:
    """Yield the sweep's status now, and then repeatedly until the sweep has ended.

    Looks are ``every`` seconds apart, or ten times the duration of a look if that is longer. The last status
    :attr:`~Status.is_over`.

    Raises:
        UsageError: the directory is not a sweep's, or no longer is.
    """
    watcher = Watcher(directory)
    while True:
        began = time.monotonic()
        status = watcher.look()
        yield status
        if status.is_over:
            return
        time.sleep(pause(every, time.monotonic() - began))


def changes(directory: Path, every: float) -> Iterator[Status]:
    """Yield the first and the last of :func:`looks`, and every one that differs from the one before.

    A difference is a change of a trial's state, a record or a job; the next epoch of a running trial is not.

    Raises:
        UsageError: the directory is not a sweep's, or no longer is.
    """
    before: tuple[object, ...] | None = None
    for status in looks(directory, every):
        jobs = status.jobs and status.jobs.jobs
        now = (status.trials, status.states, status.records, status.damaged, status.note, jobs)
        if now != before or status.is_over:
            yield status
        before = now


def _first(directory: Path, jobs: Past | None, note: str, reader: Reader) -> Status:
    try:
        return sweep_status(directory, jobs, note, reader=reader)
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror} ({error.filename})") from None


def _next(before: Status, jobs: Past | None, note: str, reader: Reader) -> Status:
    directory = before.directory
    try:
        return sweep_status(directory, jobs, note, reader=reader)
    except UsageError:
        if directory.is_dir():
            raise
        raise UsageError(f"{directory} is gone: it was removed or moved while it was watched") from None
    except OSError as error:
        return replace(before, note=f"the disk does not answer ({error.strerror}); this is the last known state")
