"""The running side of a sweep directory: progress files, logs and the lock. Needs no torch."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from ablate.config import Trial
from ablate.errors import UsageError
from ablate.lease import running_directory
from ablate.results import DiskTrouble, write_atomically

PROGRESS, LOCK = "progress.json", ".lock"
WAITING = ".waiting"  # the lock of a command that waits for jobs, to go on from what they come to
RECOMMENDATION, TORCHVISION_FILE, KORNIA_FILE = (
    "recommendation.json",
    "pipeline_torchvision.py",
    "pipeline_kornia.py",
)
GLANCE = 0.2  # seconds for which a lock is asked for: whoever only looks has it for a moment


class TrialProgress(BaseModel):
    """How far a trial is, as ``progress.json`` says; times in unix seconds."""

    label: str
    seed: int
    epoch: int
    epochs: int
    metrics: dict[str, float | str]
    started: float
    updated: float

    @classmethod
    def nothing_yet(cls, trial: Trial) -> TrialProgress:
        """Of a trial that was handed out and has not reported."""
        return cls(
            label=trial.label,
            seed=trial.seed,
            epoch=0,
            epochs=trial.config.epochs,
            metrics={},
            started=0,
            updated=0,
        )


def withdraw(directory: Path, trials: Iterable[Trial] | None = None) -> bool:
    """Remove what was recommended in ``DIR/report``: it holds no longer, or may not.

    With ``trials``, which are to run, only where they could change it: references but the untrained encoder cannot.

    Returns:
        Whether anything was there.

    Raises:
        DiskTrouble: the directory may not be written to.
    """
    if trials is not None and not any(trial.reference in (None, "untrained") for trial in trials):
        return False
    there = [directory / "report" / name for name in (RECOMMENDATION, TORCHVISION_FILE, KORNIA_FILE)]
    there = [path for path in there if path.exists()]
    for path in there:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskTrouble(error.errno, error.strerror, error.filename) from error
    return bool(there)


def log_path(directory: Path, trial_id: str) -> Path:
    """``DIR/logs/<id>.log``."""
    return directory / "logs" / f"{trial_id}.log"


def write_progress(directory: Path, trial: Trial, epoch: int, metrics: dict[str, Any], started: float) -> None:
    """Say how far a trial is, for the display and ``ablate status``."""
    progress = TrialProgress(
        label=trial.label,
        seed=trial.seed,
        epoch=epoch,
        epochs=trial.config.epochs,
        metrics=metrics,
        started=started,
        updated=time.time(),
    )
    write_atomically(running_directory(directory, trial.id) / PROGRESS, progress.model_dump_json())


def reporter(directory: Path, trial: Trial) -> Callable[[int, dict[str, Any]], None]:
    """A trial's ``Context.report`` that writes its progress; what it says in words is kept until the end."""
    started, notices = time.time(), dict[str, Any]()

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        notices.update({name: value for name, value in metrics.items() if isinstance(value, str)})
        write_progress(directory, trial, epoch, metrics | notices, started)

    return report


def read_progress(directory: Path, trial_id: str) -> TrialProgress | None:
    """What :func:`write_progress` wrote, or None if there is nothing readable."""
    try:
        return TrialProgress.model_validate_json((running_directory(directory, trial_id) / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def sole_user(directory: Path, name: str = LOCK) -> Iterator[None]:
    """Hold the directory for one command at a time; the lock goes when the process does, however it ends.

    ``name``: the lock's file there; one that waits for jobs leaves the directory to others, but not :data:`WAITING`.

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
        yield
    finally:
        lock.release()


def in_use(directory: Path, name: str = LOCK) -> bool:
    """True while a command is :func:`sole_user`; False also where that cannot be told, as on some file servers."""
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


@contextlib.contextmanager
def logging_to(path: Path, level: int = logging.INFO) -> Iterator[None]:
    """Inside, what ``ablate`` logs from ``level`` on goes to ``path``, appended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("ablate")
    logger.setLevel(level)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
