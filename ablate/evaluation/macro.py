"""Macro F1, AUROC and average precision: means over the classes that have images, by scikit-learn's definitions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ablate.config.measure import ACCURACIES, SUFFIXES, Measure
from ablate.evaluation.accuracy import score, scores

# Not scikit-learn's own functions: they take three times as long, and their import takes a worker a second.

SCORED = (
    "top-1 and balanced accuracy (the mean of the classes' recalls), macro F1, AUROC and average precision (each class "
    "against the rest)"
)


def every_score(name: str, logits: Tensor, y: Tensor, classes: int) -> dict[str, float]:
    """Return every measure as a metric: the accuracies, ``<name>_macro_f1``, ``_auroc`` and ``_average_precision``.

    One that is not defined is left out: all of these without images, AUROC also if all images have one class.

    Args:
        name: the name of the evaluation, ``linear``, or ``linear_val`` for the validation split.
        logits: ``[n, classes]``, the scores of the images.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
    """
    predicted = logits.argmax(1)
    auroc, precision = one_vs_rest(logits, y)
    further: dict[Measure, float] = {"f1": macro_f1(predicted, y, classes), "auroc": auroc, "ap": precision}
    named = {f"{name}{SUFFIXES[measure]}": value for measure, value in further.items() if not math.isnan(value)}
    return scores(name, predicted, y, classes) | named


def score_by(measure: Measure, logits: Tensor, y: Tensor, classes: int) -> float:
    """Return one measure of :func:`every_score`; NaN where it is not defined.

    Args:
        measure: the measure to compute.
        logits: ``[n, classes]``, the scores of the images.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
    """
    if measure in ACCURACIES:
        return score(logits.argmax(1), y, classes, measure)
    return macro_f1(logits.argmax(1), y, classes) if measure == "f1" else one_vs_rest(logits, y)[measure == "ap"]


def macro_f1(predicted: Tensor, y: Tensor, classes: int) -> float:
    """Return the mean F1 of the classes that occur in ``y``; NaN without rows.

    The F1 of a class is the harmonic mean of its precision and its recall. Images that are given a class which does not
    occur count as missed. It is ``sklearn.metrics.f1_score(average="macro", labels=np.unique(y))``.

    Args:
        predicted: int64 ``[n]``.
        y: int64 ``[n]``, the labels, in [0, classes).
        classes: number of classes.
    """
    total, given = y.bincount(minlength=classes), predicted.bincount(minlength=classes)
    correct = y[predicted == y].bincount(minlength=classes)
    present = total > 0
    return float((2 * correct[present].double() / (total + given)[present]).mean())


def one_vs_rest(logits: Tensor, y: Tensor) -> tuple[float, float]:
    """Return AUROC and average precision, each the mean over the classes that occur in ``y``, each against the rest.

    Images are ordered by the probability of the class, in float64. With two classes, too, both count: their AUROCs are
    equal, and their average precisions are not. They are scikit-learn's ``roc_auc_score`` and
    ``average_precision_score`` of each class.

    Args:
        logits: ``[n, classes]``, the scores of the images.
        y: int64 ``[n]``, the labels.

    Returns:
        Fractions; NaN without images, and for AUROC if all images have one class.
    """
    ranked, y = logits.double().log_softmax(1).T.contiguous().cpu(), y.cpu()
    each = [of_class(ranked[c], y == c) for c in y.unique().tolist()]
    auroc, precision = torch.tensor(each or [(torch.nan, torch.nan)], dtype=torch.float64).mean(0).tolist()
    return auroc, precision


def of_class(score: Tensor, is_class: Tensor) -> tuple[float, float]:
    """Return AUROC and average precision of one class; equal scores are one threshold, as in scikit-learn."""
    score, order = score.sort(descending=True)
    last = torch.cat([score[1:] != score[:-1], score.new_ones(1, dtype=torch.bool)])  # of every run of equal scores
    hits, seen = is_class[order].cumsum(0)[last].double(), last.nonzero()[:, 0] + 1
    positive, zero = hits[-1], hits.new_zeros(1)
    precision = (hits.diff(prepend=zero) * hits / seen).sum() / positive
    false = seen - hits
    area = torch.trapezoid(torch.cat([zero, hits]), torch.cat([zero, false]))
    return float(area / (positive * false[-1])), float(precision)
