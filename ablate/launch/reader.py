"""A sweep's directory for those who look at it again and again: each file is read once, and again when it has changed.

Needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from ablate.config.sweep import SweepPlan, Trial
from ablate.sweep.plan import SWEEP_FILE, load_plan, plan
from ablate.sweep.record import TrialResult, read_record

Signature = tuple[int, int, int]
"""Of a file's content: it is replaced by another file, never written in place."""


class Reader:
    """Plan and records of ``directory``, kept between looks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._plan: tuple[Signature | None, SweepPlan, list[Trial]] | None = None
        self._records: dict[Path, tuple[Signature, TrialResult]] = {}

    def plan(self) -> tuple[SweepPlan, list[Trial]]:
        """What ``sweep.toml`` plans.

        Raises:
            UsageError: the directory is not a sweep's.
        """
        path = self.directory / SWEEP_FILE
        signature = _signature(path) if path.is_file() else None
        known = self._plan
        if known is None or known[0] != signature:
            experiment = load_plan(self.directory)
            known = self._plan = signature, experiment, plan(experiment)
        return known[1:]

    def record(self, path: Path) -> TrialResult:
        """As :func:`read_record`, without the history.

        Raises:
            BadRecord: the file holds no whole record, or another trial's.
            FileNotFoundError: there is no such file.
        """
        signature = _signature(path)  # before it is read: what replaces it meanwhile is read the next time
        known = self._records.get(path)
        if known is None or known[0] != signature:
            known = signature, read_record(path, points=0)
            self._records[path] = known
        return known[1]


def _signature(path: Path) -> Signature:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
