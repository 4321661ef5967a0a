"""Looking at a sweep again and again, until it has ended. Needs no torch.

``for status in changes(directory, every): ...`` is all that a command with ``--watch`` needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ablate.errors import UsageError
from ablate.launch.reader import Reader
from ablate.launch.slurm.past import Past, look_up
from ablate.launch.status import Status, sweep_status

EVERY = 5.0  # seconds between looks at the disk, where the user names none
SHARE = 10  # times what a look takes are between two at least
ASK = 30.0  # seconds between questions to the scheduler


def looks(directory: Path, every: float) -> Iterator[Status]:
    """The sweep's status now, and every ``every`` seconds (or ten times what a look takes) until it has ended.

    The last one :attr:`~Status.is_over`. What a look has read is not read again; the scheduler is asked every half
    minute, and while it does not answer its last word holds. A disk that fails for a while is a note in the status.

    Raises:
        UsageError: the directory is not a sweep's, or is one no longer.
    """
    reader = Reader(directory)
    jobs, note = look_up(directory)
    asked = time.monotonic()
    status = _first(directory, jobs, note, reader)
    yield status
    pause = every
    while not status.is_over:
        time.sleep(pause)
        began = time.monotonic()
        if began - asked >= ASK:
            found, note = look_up(directory)
            jobs, asked = found or jobs, began
        status = _next(status, jobs, note, reader)
        pause = max(every, SHARE * (time.monotonic() - began))
        yield status


def changes(directory: Path, every: float) -> Iterator[Status]:
    """Those of :func:`looks` that differ from the one before in a trial's place, a record or a job; first and last.

    A running trial's next epoch is no such change.

    Raises:
        UsageError: the directory is not a sweep's, or is one no longer.
    """
    before: tuple[object, ...] | None = None
    for status in looks(directory, every):
        jobs = status.jobs and status.jobs.jobs
        now = (status.trials, status.places, status.records, status.damaged, status.note, jobs)
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
        return replace(before, note=f"the disk does not answer ({error.strerror}); this is what it said before")
