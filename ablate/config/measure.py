"""What ranks compositions, such as top-1 or balanced accuracy: the rule that chooses, and the names of the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

from ablate.errors import unknown

Accuracy = Literal["top1", "balanced"]
"""``top1``: the fraction of images classified correctly; ``balanced``: the mean of that fraction over the classes."""
Measure = Literal["top1", "balanced", "f1", "auroc", "ap", "r2"]
"""An accuracy, or macro F1, AUROC or average precision, which linear evaluation has too (docs/evaluation.md); or R²."""
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)
SYNONYMS: dict[str, Measure] = {"accuracy": "top1", "macro-f1": "f1", "auprc": "ap"}
"""Other names of measures that the command line takes."""
IN_WORDS: dict[Measure, str] = {
    "top1": "top-1",
    "balanced": "balanced accuracy",
    "f1": "macro F1",
    "auroc": "AUROC",
    "ap": "average precision",
    "r2": "R²",
}
ON_VALIDATION: dict[Measure, str] = {
    "top1": "validation accuracy",
    "balanced": "balanced validation accuracy",
    "f1": "validation macro F1",
    "auroc": "validation AUROC",
    "ap": "validation average precision",
    "r2": "validation R²",
}
SUFFIXES: dict[Measure, str] = {
    "top1": "_top1",
    "balanced": "_balanced_accuracy",
    "f1": "_macro_f1",
    "auroc": "_auroc",
    "ap": "_average_precision",
    "r2": "_r2",
}
KNN = "knn_val_top1"
"""The names under which a trial's history holds kNN on the validation split."""


def measure_named(text: str) -> Measure:
    """Return the measure that a user names, also by a synonym.

    Raises:
        UsageError: there is none; the message names the nearest match.
    """
    measure = SYNONYMS.get(text.lower(), text.lower())
    if measure not in get_args(Measure):
        raise unknown("metric", text, get_args(Measure))
    return cast(Measure, measure)


def measure_for(counts: Sequence[int]) -> Accuracy:
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
    """Return the sentence that says which measure ranks compositions and, where it is not top-1 by the rule, why.

    Args:
        measure: the measure that chooses.
        counts: labelled training images of every class; empty if unknown.
    """
    if measure not in ACCURACIES:
        return f"Compositions are ranked by {IN_WORDS[measure]}, as requested."
    rule = measure_for(counts)
    share = f"the largest class has {100 * max(counts) / sum(counts):.0f} % of the images" if counts else ""
    if measure == "balanced":
        why = f": {share}" if rule == "balanced" else ", as requested"
        return f"Compositions are ranked by balanced accuracy{why}."
    return f"Compositions are ranked by top-1 accuracy{f', although {share}' if rule == 'balanced' else ''}."


def in_full(measure: Measure) -> str:
    """Return the measure in a sentence: ``top-1 accuracy``, ``balanced accuracy``, ``AUROC``."""
    return "top-1 accuracy" if measure == "top1" else IN_WORDS[measure]


def in_short(measure: Measure) -> str:
    """Return the measure, top-1 without its name: ``accuracy``, ``balanced accuracy``, ``AUROC``."""
    return "accuracy" if measure == "top1" else IN_WORDS[measure]


def on_split(measure: Measure, split: str) -> str:
    """Return the measure on ``validation`` or ``test`` images: ``balanced test accuracy``, ``validation AUROC``."""
    return ON_VALIDATION[measure].replace("validation", split)


def heading(measure: Measure) -> str:
    """Return the measure as a heading, in which both accuracies are ``Accuracy``."""
    word = "accuracy" if measure in ACCURACIES else IN_WORDS[measure]
    return word[0].upper() + word[1:]


def measured_by(metric: str, measure: Measure) -> str:
    """Return the metric of the same protocol and images by ``measure``: ``knn_top1`` -> ``knn_balanced_accuracy``.

    Only linear evaluation has more than accuracies. For every other protocol, balanced accuracy stands for the measures
    that, like it, give every class the same weight.
    """
    for suffix in SUFFIXES.values():
        if metric.endswith(suffix):
            stem = metric.removesuffix(suffix)
            known = measure if "linear" in stem or measure in ACCURACIES else "balanced"
            return stem + SUFFIXES[known]
    return metric


def at_rungs(measure: Measure) -> str:
    """Return words on what kNN, which has accuracies only, compares in place of ``measure``; empty for an accuracy."""
    return "" if measure in ACCURACIES else f"; kNN has no {IN_WORDS[measure]}, so its balanced accuracy decides there"


def measure_of(metric: str) -> Measure:
    """Return the measure of a metric: ``linear_auroc`` -> ``auroc``; ``top1`` if the name tells none."""
    return next((measure for measure, suffix in SUFFIXES.items() if metric.endswith(suffix)), "top1")


def on_validation(metric: str) -> str:
    """Return the name of a metric on the validation split: ``linear_top1`` -> ``linear_val_top1``."""
    for suffix in SUFFIXES.values():
        if metric.endswith(suffix):
            return f"{metric.removesuffix(suffix)}_val{suffix}"
    return metric
