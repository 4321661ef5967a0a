"""The running side of a sweep directory: progress files, logs and the lock. Needs no torch."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ablate.config.sweep import Trial
from ablate.files import write_atomically
from ablate.sweep.layout import SweepDir


class TrialProgress(BaseModel):
    """The progress of a trial, as stored in ``progress.json``; times are in unix seconds.

    ``resumed``: how many of its epochs were done before ``started``, in earlier attempts.
    """

    label: str
    seed: int
    epoch: int
    epochs: int
    metrics: dict[str, float | str]
    started: float
    updated: float
    resumed: int = 0

    @classmethod
    def nothing_yet(cls, trial: Trial) -> TrialProgress:
        """Return the progress of a trial that was handed out and has not reported yet."""
        return cls(
            label=trial.label,
            seed=trial.seed,
            epoch=0,
            epochs=trial.config.epochs,
            metrics={},
            started=0,
            updated=0,
        )


def write_progress(
    directory: Path, trial: Trial, epoch: int, metrics: dict[str, Any], started: float, resumed: int = 0
) -> None:
    """Write a trial's progress to its ``progress.json``, which the command at work and ``ablate status`` show.

    Args:
        directory: the sweep's directory.
        trial: the trial.
        epoch: how many epochs are done.
        metrics: the latest metrics and notices.
        started: when this attempt at the trial started, in unix seconds.
        resumed: how many epochs had been done by then.
    """
    progress = TrialProgress(
        label=trial.label,
        seed=trial.seed,
        epoch=epoch,
        epochs=trial.config.epochs,
        metrics=metrics,
        started=started,
        updated=time.time(),
        resumed=resumed,
    )
    # For display alone: one that is lost with the machine's power is written again after the next epoch.
    write_atomically(SweepDir(directory).progress(trial.id), progress.model_dump_json(), synced=False)


def reporter(directory: Path, trial: Trial) -> Callable[[int, dict[str, Any]], None]:
    """Return a function for a trial's ``Context.report`` that writes its progress.

    Values that are words are kept until the end of the trial.
    """
    started, notices = time.time(), dict[str, Any]()
    resumed: int | None = None

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        nonlocal resumed
        if resumed is None and epoch:  # the first epoch that ends in this attempt
            resumed = epoch - 1
        notices.update({name: value for name, value in metrics.items() if isinstance(value, str)})
        write_progress(directory, trial, epoch, metrics | notices, started, resumed or 0)

    return report


def read_progress(directory: Path, trial_id: str) -> TrialProgress | None:
    """Read what :func:`write_progress` wrote; return None if nothing can be read."""
    try:
        return TrialProgress.model_validate_json((SweepDir(directory).progress(trial_id)).read_bytes())
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def logging_to(path: Path, level: int = logging.INFO) -> Iterator[None]:
    """Append to ``path`` what ``ablate`` logs at ``level`` or above inside the block."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except FileNotFoundError:  # only the first trial has to make the directory
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
