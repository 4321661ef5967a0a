"""The running side of a sweep directory: leases, progress files and locks. Needs no torch."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ablate.config import Trial
from ablate.errors import UsageError
from ablate.results import write_atomically

PROGRESS = "progress.json"


def running_directory(directory: Path, trial_id: str) -> Path:
    """``DIR/running/<id>``: checkpoint and progress of a trial that has begun and has no record yet."""
    return directory / "running" / trial_id


def log_path(directory: Path, trial_id: str) -> Path:
    """``DIR/logs/<id>.log``."""
    return directory / "logs" / f"{trial_id}.log"


def write_progress(directory: Path, trial: Trial, epoch: int, metrics: dict[str, Any], started: float) -> None:
    """Say how far a trial is, for the display and ``ablate status`` (times in unix seconds)."""
    content = {
        "id": trial.id,
        "label": trial.label,
        "seed": trial.seed,
        "epoch": epoch,
        "epochs": trial.config.epochs,
        "metrics": metrics,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": started,
        "updated": time.time(),
    }
    write_atomically(running_directory(directory, trial.id) / PROGRESS, json.dumps(content))


def read_progress(directory: Path, trial_id: str) -> dict[str, Any] | None:
    """What :func:`write_progress` wrote, or None if there is nothing readable."""
    try:
        content = json.loads((running_directory(directory, trial_id) / PROGRESS).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def sole_user(directory: Path) -> FileLock:
    """Take the directory for one command at a time; the lock goes when the process does, however it ends.

    Raises:
        UsageError: another command is at work there.
    """
    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"another ablate command is at work in {directory}; wait for it, or choose another --out"
        ) from None
    return lock
