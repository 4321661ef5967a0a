"""Read a sweep's directory repeatedly: each file is read once, and again only when it has changed.

Needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from ablate.config.sweep import SweepPlan, Trial
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import TrialResult, read_record

Signature = tuple[int, int, int]
"""The signature of a file's content; a file is replaced by another one, never written in place."""


class Reader:
    """The plan and the records of ``directory``, kept between reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._plan: tuple[Signature | None, SweepPlan, list[Trial]] | None = None
        self._records: dict[Path, tuple[Signature, TrialResult]] = {}

    def plan(self) -> tuple[SweepPlan, list[Trial]]:
        """Return the plan in ``sweep.toml`` and its trials.

        Raises:
            UsageError: the directory is not a sweep's.
        """
        path = SweepDir(self.directory).plan
        try:
            signature = _signature(path)
        except OSError:
            signature = None
        known = self._plan
        if known is None or known[0] != signature:
            experiment = load_plan(self.directory)
            known = self._plan = signature, experiment, plan(experiment)
        return known[1:]

    def record(self, path: Path) -> TrialResult:
        """Read a record as :func:`read_record` does, without its history.

        Raises:
            DamagedRecord: the file holds no whole record, or another trial's.
            FileNotFoundError: there is no such file.
        """
        signature = _signature(path)  # before reading: a file that is replaced meanwhile is read the next time
        known = self._records.get(path)
        if known is None or known[0] != signature:
            known = signature, read_record(path, points=0)
            self._records[path] = known
        return known[1]


def _signature(path: Path) -> Signature:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
