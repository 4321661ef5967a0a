"""Top-1 or balanced accuracy: the fixed rule that chooses between them, and the names of their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Measure = Literal["top1", "balanced"]
"""``top1``: the fraction of images classified correctly; ``balanced``: the mean of that fraction over the classes."""
IN_WORDS: dict[Measure, str] = {"top1": "top-1", "balanced": "balanced accuracy"}
SUFFIXES: dict[Measure, str] = {"top1": "_top1", "balanced": "_balanced_accuracy"}
KNN = "knn_val_top1"
"""The names under which a trial's history holds kNN on the validation split."""


def measure_for(counts: Sequence[int]) -> Measure:
    """Return ``balanced`` where the largest of several classes has too many of the images, else ``top1``.

    Too many is more than twice its share (one divided by the number of classes) or more than three quarters of all
    images. The second limit is for two classes, neither of which can have more than twice its share.

    Args:
        counts: labelled training images of every class; empty where there are no labels.
    """
    if len(counts) < 2:
        return "top1"
    most, total = max(counts), sum(counts)
    return "balanced" if most * len(counts) > 2 * total or 4 * most > 3 * total else "top1"


def reason(measure: Measure, counts: Sequence[int]) -> str:
    """Return a sentence on why ``measure`` chooses; empty where it is top-1 by the rule.

    Args:
        measure: the measure that chooses.
        counts: labelled training images of every class; empty if unknown.
    """
    rule = measure_for(counts)
    share = f"the largest class has {100 * max(counts) / sum(counts):.0f} % of the images" if counts else ""
    if measure == "balanced":
        why = f": {share}" if rule == "balanced" else ", as requested"
        return f"Compositions are ranked by balanced accuracy{why}."
    return f"Compositions are ranked by top-1 accuracy, although {share}." if rule == "balanced" else ""


def measured_by(metric: str, measure: Measure) -> str:
    """Return the metric of the same protocol and images by ``measure``: ``knn_top1`` -> ``knn_balanced_accuracy``."""
    for suffix in SUFFIXES.values():
        if metric.endswith(suffix):
            return metric.removesuffix(suffix) + SUFFIXES[measure]
    return metric


def on_validation(metric: str) -> str:
    """Return the name of a metric on the validation split: ``linear_top1`` -> ``linear_val_top1``."""
    for suffix in SUFFIXES.values():
        if metric.endswith(suffix):
            return f"{metric.removesuffix(suffix)}_val{suffix}"
    return metric
