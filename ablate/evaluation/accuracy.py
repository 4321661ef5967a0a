"""The scores of classifiers: top-1 and balanced accuracy, side by side."""

from __future__ import annotations

from torch import Tensor

from ablate.config.measure import ACCURACIES, SUFFIXES, Accuracy

SCORED = "top-1 and balanced accuracy (the mean of the classes' recalls)"


def accuracy(predicted: Tensor, y: Tensor) -> float:
    """Return the fraction of rows where ``predicted`` equals ``y``; NaN without rows."""
    return float((predicted == y).double().mean())


def balanced_accuracy(predicted: Tensor, y: Tensor, classes: int) -> float:
    """Return the mean recall of the classes that occur in ``y``; NaN without rows.

    Args:
        predicted: int64 ``[n]``.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
    """
    total = y.bincount(minlength=classes)
    correct = y[predicted == y].bincount(minlength=classes)
    present = total > 0
    return float((correct[present].double() / total[present]).mean())


def score(predicted: Tensor, y: Tensor, classes: int, measure: Accuracy) -> float:
    """Return the top-1 or balanced accuracy of ``predicted``, as a fraction.

    Args:
        predicted: int64 ``[n]``.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
        measure: the accuracy to compute.
    """
    return accuracy(predicted, y) if measure == "top1" else balanced_accuracy(predicted, y, classes)


def scores(name: str, predicted: Tensor, y: Tensor, classes: int) -> dict[str, float]:
    """Return both accuracies as metrics, ``<name>_top1`` and ``<name>_balanced_accuracy``.

    Args:
        name: the name of the evaluation, for example ``knn``, or ``knn_val`` for the validation split.
        predicted: int64 ``[n]``.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
    """
    return {f"{name}{SUFFIXES[measure]}": score(predicted, y, classes, measure) for measure in ACCURACIES}
