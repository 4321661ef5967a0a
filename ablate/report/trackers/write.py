"""Write the runs of a sweep to a tracker: only what it lacks, so that the same command again adds nothing."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ablate.config.sweep import Trial
from ablate.errors import UsageError
from ablate.files import check_writable
from ablate.report.data.results import Results
from ablate.report.trackers.run import Tracker
from ablate.report.trackers.runs import digest_of, name_of, run_of, sweep_run
from ablate.sweep.layout import SweepDir


class _Writer(NamedTuple):
    """Where the writer of a tracker is, and the package that it needs, which the extra of its name installs."""

    module: str
    kind: str
    package: str


WRITERS: dict[str, _Writer] = {
    "tensorboard": _Writer("ablate.report.trackers.tensorboard", "TensorBoard", "tensorboard"),
    "mlflow": _Writer("ablate.report.trackers.mlflow", "MLflow", "mlflow"),
    "wandb": _Writer("ablate.report.trackers.wandb", "WandB", "wandb"),
    "trackio": _Writer("ablate.report.trackers.trackio", "Trackio", "trackio"),
    "aim": _Writer("ablate.report.trackers.aim", "Aim", "aim"),
}


@dataclass
class Written:
    """How many runs were written, and how many were there already."""

    new: int = 0
    there: int = 0


def check_tracker(name: str, directory: Path, out: str | None = None, option: str = "--out") -> Path:
    """Return the directory that holds the runs of a sweep in a tracker; check that they can be written there.

    Args:
        name: the tracker.
        directory: the sweep's directory.
        out: the directory that holds the runs; default: ``DIR/trackers/<name>``.
        option: the option by which the user gave ``out``.

    Raises:
        UsageError: the tracker's package is not installed, and its extra is named; or nothing can be written there.
    """
    package = WRITERS[name].package
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{name} needs the package {package}: pip install 'ablate[{name}]'")
    place = Path(out) if out else SweepDir(directory).tracker(name)
    check_writable(place, option)
    return place


def open_tracker(name: str, directory: Path, out: str | None = None) -> Tracker:
    """Open a tracker for the runs of a sweep.

    Args:
        name: the tracker.
        directory: the sweep's directory.
        out: the directory that holds the runs; default: ``DIR/trackers/<name>``.

    Raises:
        UsageError: the tracker's package is not installed, or nothing can be written there.
    """
    place = check_tracker(name, directory, out)
    writer = WRITERS[name]
    tracker: Tracker = getattr(importlib.import_module(writer.module), writer.kind)(str(place))
    return tracker


def write_trials(directory: Path, trials: Iterable[Trial], tracker: Tracker) -> Written:
    """Write the runs of the trials with records that the tracker lacks, or has from another record.

    Args:
        directory: the sweep's directory.
        trials: trials of its plan.
        tracker: where to write.
    """
    known, written = tracker.known(name_of(directory)), Written()
    for trial in trials:
        digest = digest_of(directory, trial)
        if digest and known.get(trial.id) == digest:
            written.there += 1
        elif digest and (run := run_of(directory, trial)):
            tracker.write(run)
            written.new += 1
    return written


def write_sweep(sweep: Results, tracker: Tracker) -> Written:
    """Write what a tracker lacks of a sweep: the runs of its trials, then that of the sweep with its heatmap."""
    written = write_trials(sweep.directory, sweep.trials, tracker)
    if sweep.records:
        whole = sweep_run(sweep)
        if tracker.known(whole.sweep).get(whole.id) == whole.digest:
            written.there += 1
        else:
            tracker.write(whole)
            written.new += 1
    return written
