"""The runs of a sweep: one for each trial with a record, and one for the sweep with its heatmap. Needs no torch."""

from __future__ import annotations

import calendar
import hashlib
import io
import time
from pathlib import Path

from ablate.config.sweep import Trial
from ablate.errors import DamagedRecord
from ablate.report.data.export import row
from ablate.report.data.results import Results
from ablate.report.trackers.run import Run, Value
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult, read_record

WHOLE = "sweep"
"""The id of the run of a whole sweep."""
FORM = b"3"
"""The version of this projection of records. It is part of every digest, so that another version replaces all runs."""
WHEN = "%Y-%m-%dT%H:%M:%SZ"  # the form of a record's ``when``
MEASURED = ("epoch", "images_per_second")
"""The entries of a history that are no curve: their own axis, and the speed of the machine, which differs by run."""


def name_of(directory: Path) -> str:
    """Return the name under which trackers list a sweep: that of its directory."""
    return directory.resolve().name


def digest_of(directory: Path, trial: Trial) -> str:
    """Return a digest of a trial's record and picture; empty without a record.

    Args:
        directory: the sweep's directory.
        trial: the trial.
    """
    record = _content(SweepDir(directory).record(trial.id))
    return _digest(record, _content(SweepDir(directory).preview(trial.config.key))) if record else ""


def run_of(directory: Path, trial: Trial) -> Run | None:
    """Return the run of a trial; None without a readable record.

    Args:
        directory: the sweep's directory.
        trial: the trial.
    """
    try:
        record = read_record(SweepDir(directory).record(trial.id))
    except (FileNotFoundError, DamagedRecord):
        return None
    ended = _seconds(record.when)
    scalars = {**record.metrics, **{f"seconds.{name}": value for name, value in record.timings.items()}}
    return Run(
        id=trial.id,
        digest=digest_of(directory, trial),
        sweep=name_of(directory),
        group=record.called,
        name=f"s{trial.seed}",
        status=record.status,
        varied=_varied(trial),
        config={name: value for name, value in row(trial, record).items() if name not in scalars},
        scalars=scalars,
        curves=_curves(record),
        images=_pictures(directory, trial),
        text=f"{record.error.type}: {record.error.message}" if record.error else "",
        began=ended - record.timings.get("total", 0.0),
        ended=ended,
    )


def sweep_run(sweep: Results) -> Run:
    """Return the run of a sweep as a whole: its heatmap, and what its report says of the best composition."""
    from ablate.report.stats.summary import summary

    name, text = name_of(sweep.directory), "\n\n".join([str(sweep), *sweep.measured, *summary(sweep)])
    images = {"heatmap": _heatmap(sweep)} if sweep.grid.ops else {}
    ended = max((_seconds(record.when) for record in sweep.records.values()), default=0.0)
    digest = _digest(text.encode(), *images.values())
    config = {"command": sweep.experiment.command, "data": sweep.experiment.data}
    return Run(WHOLE, digest, name, "", "sweep", config=config, images=images, text=text, began=ended, ended=ended)


def _varied(trial: Trial) -> dict[str, Value]:
    named: dict[str, Value] = {"cell": trial.called}
    named |= {"row": trial.row, "column": trial.column} if trial.row else {}
    named |= {name: str(value) for name, value in trial.point.items()}
    return named | ({"reference": trial.reference} if trial.reference else {})


def _curves(record: TrialResult) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in record.history:
        for name, value in entry.items():
            if name not in MEASURED and value is not None:
                curves.setdefault(name, []).append((round(entry["epoch"] or 0), value))
    return curves


def _pictures(directory: Path, trial: Trial) -> dict[str, bytes]:
    """Return the views of the trial's composition as a PNG, which all trackers take; nothing if there is no picture."""
    from PIL import Image

    content = _content(SweepDir(directory).preview(trial.config.key))
    if not content:
        return {}
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(buffer, "PNG")
    return {"views": buffer.getvalue()}


def _heatmap(sweep: Results) -> bytes:
    from ablate.report.figures.heatmap import heatmap
    from ablate.report.figures.style import as_png

    return as_png(heatmap(sweep.grid, title=str(sweep)))


def _seconds(when: str) -> float:
    """Return the unix seconds of a record's ``when``; 0 if it is empty."""
    return float(calendar.timegm(time.strptime(when, WHEN))) if when else 0.0


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256(FORM)
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]
