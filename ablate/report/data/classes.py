"""What trials give the images of single classes: recall and confusion, from image results, one trial at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ablate.config.sweep import SweepPlan, Trial
from ablate.errors import UsageError
from ablate.files import names_in
from ablate.inference.over_images import influence
from ablate.report.data.results import Results
from ablate.sweep.images import ImageResults, SplitResults, load_image_results
from ablate.sweep.layout import SweepDir

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """The share of the images of a class that is classified correctly, or that is taken for ``taken_for``.

    Classes are numbers; ``weight`` is that of the share in an :class:`Outcome`.
    """

    of: int
    weight: float = 1.0
    taken_for: int | None = None

    def _found(self, split: SplitResults) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which images of the split belong to the class, and which of all have the outcome, both bool [n]."""
        right = split.correct if self.taken_for is None else split.predicted == self.taken_for
        return split.label == self.of, right

    def value(self, split: SplitResults) -> float:
        """Return the weighted share; NaN if the class has no images."""
        ours, right = self._found(split)
        return self.weight * float(right[ours].mean()) if ours.any() else float("nan")

    def influence(self, split: SplitResults) -> Array:
        """Return what each group of the class's images adds to the value, see ``influence`` of the inference."""
        ours, right = self._found(split)
        groups = None if split.group is None else split.group[ours]
        return np.asarray(self.weight * influence(right[ours], split.label[ours], groups))


@dataclass(frozen=True)
class Outcome:
    """A number of a trial: a weighted sum of shares of different classes, such as the recall of one."""

    name: str
    shares: tuple[Share, ...]

    def value(self, split: SplitResults) -> float:
        """Return the number; NaN if one of its classes has no images."""
        return sum(share.value(split) for share in self.shares)

    def images(self, split: SplitResults) -> int:
        """Return the number of images of its classes."""
        return sum(int((split.label == share.of).sum()) for share in self.shares)

    def influence(self, split: SplitResults) -> Array:
        """Return what each group of images of each class adds to it, float64 ``[groups]``."""
        return np.concatenate([share.influence(split) for share in self.shares])


def names_of(plan: SweepPlan) -> tuple[str, ...]:
    """Return the names of the classes; their numbers for a sweep that was planned before names were stored."""
    return plan.classes or tuple(map(str, range(plan.shared.data.classes)))


def recalls(split: SplitResults, classes: int) -> Array:
    """Return the share of each class's images that is classified correctly, ``[classes]``; NaN without images."""
    images = np.bincount(split.label, minlength=classes)
    right = np.bincount(split.label[split.correct], minlength=classes)
    return np.asarray(np.divide(right, images, out=np.full(classes, np.nan), where=images > 0))


def confusion(split: SplitResults, classes: int) -> NDArray[np.int64]:
    """Return the number of images of each class (row) that are taken for each, int64 ``[classes, classes]``."""
    pairs = split.label.astype(np.int64) * classes + split.predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def with_images(sweep: Results, labels: Iterable[str]) -> list[Trial]:
    """Return the done trials of some cells that have a file of image results, in the order of the plan."""
    place, wanted = SweepDir(sweep.directory), set(labels)
    there = set(names_in(place.images))
    return [
        trial
        for trial in sweep.trials
        if trial.label in wanted
        and trial.reference is None
        and place.image_results(trial.id).name in there
        and (record := sweep.records.get(trial.id))
        and record.status == "done"
    ]


def results_of(sweep: Results, trials: Iterable[Trial]) -> Iterator[tuple[Trial, ImageResults]]:
    """Yield the image results of ``trials``, one file at a time; damaged files are left out."""
    for trial in trials:
        try:
            yield trial, load_image_results(sweep.directory, [trial.id])[trial.id]
        except UsageError:
            continue


def with_groups(results: Iterable[tuple[Trial, ImageResults]]) -> list[tuple[Trial, ImageResults]]:
    """Return ``results`` with the groups of the test images in each, if one of them has these.

    All trials have the same images, and so the same groups, which files of earlier versions lack.
    """
    every = list(results)
    known = next((found.test.group for _, found in every if found.test.group is not None), None)
    return [(trial, replace(found, test=replace(found.test, group=known))) for trial, found in every]
