"""The covariance of a sweep's accuracies over images, from its image results; or why its intervals hold seeds only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ablate.config.interval import Interval
from ablate.config.measure import ACCURACIES, Measure, in_full
from ablate.config.sweep import SweepPlan, Task, Trial
from ablate.console import command, counted
from ablate.errors import UsageError
from ablate.files import names_in
from ablate.inference.over_images import Array, OverImages, influence_of, over_images
from ablate.report.data.grid import Grid
from ablate.sweep.images import image_results_of
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

ONLY = "Intervals hold seeds only"


def read_over_images(
    directory: Path,
    experiment: SweepPlan,
    known: Iterable[tuple[Trial, TrialResult]],
    measure: Measure,
    interval: Interval,
    task: Task | None = None,
) -> tuple[OverImages | None, str]:
    """Read the covariance of validation accuracy over images.

    Args:
        directory: the sweep's directory.
        experiment: its plan.
        known: its trials that have a record, and the records.
        measure: the measure by which cells are chosen.
        interval: what intervals are to hold.
        task: the further task that judges; None: the main one, whose image results are kept.

    Returns:
        The covariance of the compositions and the untrained encoder, or None; and a sentence on why there is none,
        which is empty if none was asked for or no trial has linear evaluation.
    """
    if interval == "seeds":
        return None, ""
    done = [(trial, record) for trial, record in known if _counts(trial, record)]
    compared = [trial for trial, _ in done if trial.reference is None]
    if not compared:
        return None, ""
    there = set(names_in(SweepDir(directory).images))
    read = [(trial, record) for trial, record in done if SweepDir(directory).image_results(trial.id).name in there]
    if why := _unread(experiment, measure, task) or _missing(directory, compared, {trial.id for trial, _ in read}):
        return None, f"{ONLY}{why}."
    try:
        return _over(directory, read, balanced=measure == "balanced", alone=interval == "images"), ""
    except UsageError as error:
        return None, f"{ONLY}: {error}."


def check_held(grid: Grid, interval: Interval, seeds_only: str) -> None:
    """Refuse intervals that are to hold images alone, but cannot.

    Args:
        grid: a sweep's grid.
        interval: what its intervals were asked to hold.
        seeds_only: the sentence on why they hold seeds only; may be empty.

    Raises:
        UsageError: they were asked to hold images alone.
    """
    if interval != "images" or grid.images is not None or not grid.with_results:
        return
    why = seeds_only.removeprefix(ONLY).rstrip(".") or ": no trial has linear evaluation"
    raise UsageError(f"--interval images cannot be given{why}; leave it out, and intervals hold seeds")


def _unread(experiment: SweepPlan, measure: Measure, task: Task | None) -> str:
    """Return why image results are of no use, whether there are any or not; empty if they are."""
    if experiment.rounds:
        return ", since the rounds of seeds decided by these"
    if task:
        return ": results for every image are kept for the main task"
    return "" if measure in ACCURACIES else f": those over images are for accuracies, not for {in_full(measure)}"


def _missing(directory: Path, compared: Sequence[Trial], there: set[str]) -> str:
    """Return which trials have no image results, and how to get them; empty if all have."""
    without = sum(trial.id not in there for trial in compared)
    if not without:
        return ""
    again = command("ablate", "evaluate", directory, "--protocol", "linear", "--again")
    which = f"{without} of {counted(len(compared), 'trial')} {'have' if without > 1 else 'has'}"
    return f": {which} no results for every image, which {again} writes where encoders were kept"


def _counts(trial: Trial, record: TrialResult) -> bool:
    """Return True for a trial of linear evaluation whose accuracy is compared."""
    return trial.reference in (None, "untrained") and record.status == "done" and "linear_val_top1" in record.metrics


def _over(
    directory: Path, known: Sequence[tuple[Trial, TrialResult]], *, balanced: bool, alone: bool
) -> OverImages | None:
    parts: dict[str, dict[int, Array]] = {}
    splits = [image_results_of(directory, record).validation for _, record in known]
    if not splits or len(splits[0].label) < 2:
        return None
    label = splits[0].label
    group = next((split.group for split in splits if split.group is not None), None)  # earlier files lack it
    adds = influence_of(label, group, balanced=balanced)
    for (trial, record), split in zip(known, splits, strict=True):
        if not np.array_equal(split.label, label):
            raise UsageError(f"trials {known[0][1].id} and {record.id} have different validation images")
        parts.setdefault(trial.label, {})[trial.seed] = adds(split.correct)
    return over_images(parts, len(label), alone=alone)
