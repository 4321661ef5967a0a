"""Lock a sweep's directory, so that one command at a time plans, runs or submits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ablate.config.base import Model
from ablate.errors import UsageError
from ablate.sweep.layout import LOCK

GLANCE = 0.2  # seconds to wait for a lock: a process that only checks it holds it for a moment


@contextlib.contextmanager
def sole_user(directory: Path, name: str = LOCK) -> Iterator[None]:
    """Hold the directory for one command at a time.

    The lock is released when the process ends, however it ends. A command that waits for jobs holds :data:`WAITING`
    and leaves the directory itself to others.

    Args:
        directory: the directory to hold.
        name: the name of the lock file in it.

    Raises:
        UsageError: another command is at work there.
    """
    lock = FileLock(directory / name)
    try:
        lock.acquire(timeout=GLANCE, poll_interval=GLANCE / 10)
    except Timeout:
        raise UsageError(
            f"another ablate command is at work in {directory}; wait for it, or choose another --out"
        ) from None
    try:
        with contextlib.suppress(OSError):
            os.truncate(directory / name, 0)  # what an earlier holder noted in it
        yield
    finally:
        lock.release()


def in_use(directory: Path, name: str = LOCK) -> bool:
    """Return True while a command is :func:`sole_user`.

    The answer is False where this cannot be determined, as on some file servers.
    """
    try:
        handle = os.open(directory / name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


class Work(Model):
    """What a command at work notes in its lock: how many workers it has, and when they started, in unix seconds."""

    workers: int
    since: float


def note_work(directory: Path, workers: int) -> None:
    """Note in the lock, which this process must hold, that ``workers`` workers start now."""
    with contextlib.suppress(OSError):  # a full disk: the next record says so, and this is for display alone
        (directory / LOCK).write_text(Work(workers=workers, since=time.time()).model_dump_json(), encoding="utf-8")


def noted_work(directory: Path) -> Work | None:
    """Return what the command that holds the lock has noted, if it has; to be called while the directory is in use."""
    try:
        return Work.model_validate_json((directory / LOCK).read_bytes())
    except (OSError, ValueError):
        return None
