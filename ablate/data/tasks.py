"""Labels of further tasks: for the same images and splits as those of the main task, each image with or without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablate.config.sweep import ClassCounts, Task
from ablate.config.tasks import TaskKind
from ablate.errors import UsageError

SPLITS = ("training", "validation", "test")
LEAST_SQUARES = 1e-100  # squared deviations below this, or above one over it, leave float64 when R² is computed
ALIKE: dict[TaskKind, str] = {"classes": "class", "regression": "value", "multilabel": "set of labels"}


@dataclass(frozen=True, repr=False)
class TaskLabels:
    """The labels of one further task.

    ``train`` is float64 ``[N, k]`` for the training images, ``test`` ``[M, k]`` for the test images. With classes, k is
    1 and the value is the number of the class, in the order of ``classes``; with regression, k is 1 and the value is
    what is to be predicted; with several labels per image, each of ``classes`` has a column, which is 1 where an image
    has the label and 0 elsewhere. The row of an image without a value is NaN.
    """

    name: str
    kind: TaskKind
    classes: tuple[str, ...]
    train: Tensor
    test: Tensor

    def __repr__(self) -> str:
        return f"<TaskLabels {self.name}: {self.kind}>"

    @property
    def known(self) -> tuple[Tensor, Tensor]:
        """True for the training images and for the test images that have a label, bool ``[N]`` and ``[M]``."""
        return ~self.train.isnan().any(1), ~self.test.isnan().any(1)

    def subset(self, index: Tensor) -> TaskLabels:
        """Return the labels of the training images of ``index``, int64 ``[n]``, and of all test images."""
        return replace(self, train=self.train[index])

    def only(self, kept: Tensor) -> TaskLabels:
        """Return the labels without those of the training images outside the bool mask ``kept [N]``."""
        return replace(self, train=self.train.where(kept[:, None], torch.nan))

    def described(self, val_mask: Tensor) -> Task:
        """Return the task for reports, given the bool mask ``[N]`` of the validation split."""
        known, tested = self.known
        counts = None
        if self.kind == "classes":
            parts = (self.train[known], self.train[known & val_mask], self.test[tested])
            each = [tuple(part[:, 0].long().bincount(minlength=len(self.classes)).tolist()) for part in parts]
            counts = ClassCounts(**dict(zip(("train", "validation", "test"), each, strict=True)))
        images = numbers_of(known, val_mask, tested)
        return Task(name=self.name, kind=self.kind, images=images, class_counts=counts)

    def in_words(self, val_mask: Tensor) -> str:
        """Return a line such as ``task speaker: 6 classes, 90 training images (9 of them for validation), ...``."""
        known, tested = self.known
        total, validation, test = numbers_of(known, val_mask, tested)
        without = len(known) + len(tested) - total - test
        left_out = f"; {without} images without a value are left out of this task" if without else ""
        return (
            f"task {self.name}: {self._kind_in_words()}, {total} training images ({validation} of them for "
            f"validation), {test} test images{left_out}"
        )

    def _kind_in_words(self) -> str:
        if self.kind == "regression":
            every = torch.cat([self.train, self.test])
            known = every[~every.isnan()]
            return f"regression of values from {float(known.min()):g} to {float(known.max()):g}"
        return f"{len(self.classes)} {'classes' if self.kind == 'classes' else 'labels, several per image'}"

    def check(self, val_mask: Tensor) -> None:
        """Raise UsageError if a split has too few labels to fit, to choose by or to test on."""
        known, tested = self.known
        parts = (self.train[known & ~val_mask], self.train[known & val_mask], self.test[tested])
        for split, part, least in zip(SPLITS, parts, (2, 1, 1) if self.kind == "classes" else (2, 2, 2), strict=True):
            if len(part.unique(dim=0)) < least:
                what = f"no {split} images" if not len(part) else f"{split} images of one {ALIKE[self.kind]} only"
                raise UsageError(f"the task {self.name!r} has {what}: give more images a value, or leave the task out")
            squares = (part - part.mean(0)).square().sum()
            if self.kind == "regression" and not LEAST_SQUARES <= float(squares) <= 1 / LEAST_SQUARES:
                raise UsageError(
                    f"the task {self.name!r} has {split} images whose values are too large or too close to one another "
                    "to compute R²: give them in another unit, or leave the task out"
                )


def numbers_of(known: Tensor, val_mask: Tensor, tested: Tensor) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test images with a label, from bool masks of those that have one.

    Args:
        known: ``[N]``, for the training images.
        val_mask: ``[N]``, True for the validation split.
        tested: ``[M]``, for the test images.
    """
    return int(known.sum()), int((known & val_mask).sum()), int(tested.sum())


def columns_of(kind: TaskKind, classes: Sequence[str]) -> int:
    """Return how many columns hold the labels of a task."""
    return len(classes) if kind == "multilabel" else 1
