"""Trial records: one JSON file per trial, written atomically. Needs no torch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, ValidationError

from ablate.config.base import RECORDED, Model
from ablate.config.sweep import Trial, called
from ablate.config.trial import Reference, TrialConfig
from ablate.errors import DamagedRecord
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease

SCHEMA = 1
OUT_OF_MEMORY = "OutOfMemory"
"""The error type of a trial that needed more memory, of the GPU or the machine, than there was."""
MEMORY_ADVICE = "a smaller micro_batch or batch_size, or fewer trials side by side, would need less"
SHOWN = ("linear_top1", "rotation_top1")
"""The metrics that a record's ``repr`` names."""
ROTATION_NOT_APPLICABLE = "rotation-not-applicable"
"""The flag of a composition that rotates images, which rotation prediction cannot judge."""


class Failure(Model):
    """Why a trial has no result: the exception's type and message, and the full traceback."""

    type: str
    message: str
    traceback: str


class TrialResult(Model):
    """One trial's record.

    ``metrics`` are fractions, except ``linear_l2``, ``rankme`` and ``lidar`` (numbers of dimensions),
    ``common_alignment`` and ``common_uniformity`` (in earlier versions ``alignment`` and ``uniformity``, of the trial's
    own pairs), and ``invariance_<op>``, which are correlations. A metric whose name starts with ``z_`` was measured at
    ``z``, every other at ``h``. ``protocols`` maps the name of each protocol to a sentence that says what it did.
    ``timings`` are seconds of wall time (``cpu``: of processor time). ``history`` has one entry per epoch.

    Two runs of one trial agree in everything except ``timings``, ``attempts``, ``host``, ``when`` and the
    ``images_per_second`` of ``history``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    schema_version: Literal[1] = 1
    key: str
    seed: int
    label: str
    row: str | None = None
    column: str | None = None
    reference: Reference | None = None
    config: TrialConfig
    status: Literal["done", "failed", "pruned"]
    flags: tuple[str, ...] = ()
    metrics: dict[str, float] = {}
    protocols: dict[str, str] = {}
    history: tuple[dict[str, float | None], ...] = ()
    timings: dict[str, float] = {}
    attempts: int = 1
    versions: dict[str, str] = {}
    host: dict[str, str] = {}
    when: str = ""
    error: Failure | None = None

    @property
    def called(self) -> str:
        """The name under which it is shown, see :func:`ablate.config.sweep.called`."""
        return called(self.label, self.reference, is_given=self.config.encoder.starts_given)

    def __repr__(self) -> str:
        accuracy = "".join(f", {name} {self.metrics[name]:.3f}" for name in SHOWN if name in self.metrics)
        return f"<TrialResult {self.label}, seed {self.seed}: {self.status}{accuracy}>"

    @property
    def id(self) -> str:
        """The trial's id, ``<key>-s<seed>``."""
        return f"{self.key}-s{self.seed}"


def failed_from_outside(trial: Trial, failure: Failure, attempts: int) -> TrialResult:
    """Return the record of a failed trial whose own process could not write one.

    Args:
        trial: the trial.
        failure: why it has no result.
        attempts: how many attempts were made at it.
    """
    return TrialResult(
        key=trial.config.key,
        status="failed",
        error=failure,
        attempts=attempts,
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **{name: getattr(trial, name) for name in ("seed", "label", "row", "column", "reference", "config")},
    )


def write_record(lease: Lease, result: TrialResult) -> None:
    """Write ``result``, the record of the trial of ``lease``, to ``DIR/trials/<key>-s<seed>.json``.

    Raises:
        LostLease: the lease is not held; nothing was written.
        DiskError: the disk refused the record.
    """
    lease.write(SweepDir(lease.directory).record(result.id), to_json(result))


def to_json(result: TrialResult) -> str:
    """Return the content of a record file; NaN stays NaN."""
    return json.dumps(result.model_dump(mode="json"), indent=1) + "\n"


def read_parked(directory: Path, trial_id: str) -> TrialResult | None:
    """Read the record of a trial that waits at a rung; return None if there is none that can be read."""
    try:
        return TrialResult.model_validate_json(SweepDir(directory).parked(trial_id).read_bytes(), context=RECORDED)
    except (OSError, ValueError):
        return None


def read_record(path: Path, *, points: int | None = None) -> TrialResult:
    """Read one record, and thin its history to about ``points`` entries.

    The histories of thousands of records would take a gigabyte of memory. Entries with a validation kNN, and the last
    entry, are always kept. The whole file is checked, whatever is kept of it.

    Args:
        path: the record's file.
        points: entries of the history to keep; None: all.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedRecord: it is truncated, a directory, or holds another trial than its name says.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise DamagedRecord(f"{path}: a directory") from error
    try:
        result = TrialResult.model_validate_json(content, context=RECORDED)
    except ValidationError as error:
        raise DamagedRecord(f"{path}: not a complete trial record ({error.errors()[0]['msg']})") from error
    if result.id != path.stem or result.config.key != result.key:
        raise DamagedRecord(f"{path}: holds the record of {result.config.key}-s{result.seed}")
    return result if points is None else result.replace(history=_thinned(result.history, points))


def _thinned(history: tuple[dict[str, float | None], ...], points: int) -> tuple[dict[str, float | None], ...]:
    """Return about ``points`` evenly spaced entries, all entries with a kNN, and the last one."""
    if not points:
        return ()
    step = max(1, -(-len(history) // points))
    last = len(history) - 1
    return tuple(
        entry for i, entry in enumerate(history) if i % step == 0 or i == last or entry.get("knn_val_top1") is not None
    )


def read_records(
    directory: Path, trials: Iterable[Trial] | None = None, *, points: int = 0
) -> tuple[dict[str, TrialResult], list[Path]]:
    """Read all records under ``DIR/trials``.

    Args:
        directory: the sweep's directory.
        trials: the trials whose records are read; None: all.
        points: about how many entries of each history to keep, as :func:`read_record` thins them.

    Returns:
        The readable records by trial id, and the paths of the bad files.
    """
    wanted = None if trials is None else {trial.id for trial in trials}
    records: dict[str, TrialResult] = {}
    bad: list[Path] = []
    for path in sorted(SweepDir(directory).trials.glob("[!.]*.json")):
        if wanted is not None and path.stem not in wanted:
            continue
        try:
            records[path.stem] = read_record(path, points=points)
        except DamagedRecord:
            bad.append(path)
    return records, bad
