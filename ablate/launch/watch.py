"""Watch a sweep until it has ended. Needs no torch.

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

EVERY = 5.0  # default seconds between looks at the disk
SHARE = 10  # looks are at least this many times the duration of a look apart
ASK = 30.0  # seconds between questions to the scheduler


def looks(directory: Path, every: float) -> Iterator[Status]:
    """Yield the sweep's status now, and then repeatedly until the sweep has ended.

    Looks are ``every`` seconds apart, or ten times the duration of a look if that is longer. The last status
    :attr:`~Status.is_over`. Unchanged files are not read again. The scheduler is asked every half minute; while it does
    not answer, its last answer is kept. If the disk fails for a while, the status has a note.

    Raises:
        UsageError: the directory is not a sweep's, or no longer is.
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
    """Yield the first and the last of :func:`looks`, and every one that differs from the one before.

    A difference is a change of a trial's place, a record or a job; the next epoch of a running trial is not.

    Raises:
        UsageError: the directory is not a sweep's, or no longer is.
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
        return replace(before, note=f"the disk does not answer ({error.strerror}); this is the last known state")
