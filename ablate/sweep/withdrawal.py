"""Withdraw a recommendation that new records could change: remove its files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ablate.config.sweep import Trial
from ablate.errors import DiskError
from ablate.sweep.layout import CONFIRMATION, SweepDir
from ablate.sweep.plan import is_sweep


def concerned(directory: Path) -> list[Path]:
    """Return the sweeps whose recommendation depends on the records in ``directory``.

    These are the sweep in ``directory`` and, if that is a confirmation, the sweep that it confirms.
    """
    confirms = directory.name == CONFIRMATION and is_sweep(directory.parent)
    return [directory, directory.parent] if confirms else [directory]


def withdraw(directory: Path, trials: Iterable[Trial] | None = None) -> bool:
    """Remove the recommendation in ``DIR/report``, which is or may become outdated.

    Args:
        directory: the sweep's directory.
        trials: the trials that will run; if given, the recommendation is removed only if they could change it. No
            reference but the untrained encoder can. None: remove it in any case.

    Returns:
        True if there was a recommendation to remove.

    Raises:
        DiskError: the directory may not be written to.
    """
    if trials is not None and not any(trial.reference in (None, "untrained") for trial in trials):
        return False
    files = (SweepDir(directory).recommendation, *SweepDir(directory).pipelines)
    there = [path for path in files if path.exists()]
    for path in there:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(error.errno, error.strerror, error.filename) from error
    return bool(there)
