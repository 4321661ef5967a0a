"""The pace of checkpoints: when the state of a trial is worth writing. Needs no torch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

CHECKPOINT_EVERY = 300.0  # seconds of training after which a checkpoint is written, also within an epoch
WORTH = 20.0  # seconds of training for each second that a checkpoint takes to write: at most 5 % of a trial is writing


class CheckpointPace:
    """The pace of an attempt's checkpoints, by how long they take to write and how much work each saves.

    The first epoch of an attempt is always worth a checkpoint: so every attempt that ends an epoch makes progress,
    however it ends, and the time that a checkpoint takes is known from then on.

    Args:
        clock: returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written = clock()
        self._cost = 0.0  # seconds that the last checkpoint took to write

    @property
    def _unsaved(self) -> float:
        """Seconds since the last checkpoint, or since the attempt began."""
        return self._clock() - self._written

    def is_overdue(self) -> bool:
        """Return True if a checkpoint is due even within an epoch."""
        return self._unsaved >= CHECKPOINT_EVERY

    def is_worth_it(self) -> bool:
        """Return True if a checkpoint after an epoch saves at least :data:`WORTH` times the seconds that it takes."""
        return self.is_overdue() or self._unsaved >= WORTH * self._cost

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Measure how long the block takes to write a checkpoint."""
        began = self._clock()
        yield
        self._written = self._clock()
        self._cost = self._written - began
