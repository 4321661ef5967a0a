"""Linear evaluation of further tasks, on the same frozen features as that of the main task."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from ablate.config.measure import measure_for
from ablate.config.tasks import TaskKind, metric_of
from ablate.data import DataSet
from ablate.data.tasks import TaskLabels
from ablate.evaluation.frozen import Frozen, Outcome
from ablate.evaluation.linear import linear_evaluation
from ablate.evaluation.macro import SCORED, every_score
from ablate.evaluation.multilabel import multilabel_evaluation, one_by_one
from ablate.evaluation.ridge import r2, ridge_evaluation

Evaluated = tuple[dict[str, float], str, tuple[str, ...]]
"""The metrics under the names of linear evaluation, a description of the evaluation, and flags."""


def on_task(frozen: Frozen, task: TaskLabels) -> Outcome:
    """Evaluate an encoder at ``h`` on a further task, by a linear model with a strength l2 of its own.

    Images without a value are left out, in all splits. The names of metrics and flags begin with that of the task:
    ``speaker:linear_top1``.

    Args:
        frozen: the encoder to evaluate.
        task: one of the tasks of its data.
    """
    known, tested = task.known
    h, test_h = frozen.every_training_image(), frozen.test()[0]
    used, val_mask, scored = (mask.to(h.device) for mask in (known, frozen.data.val_mask[known], tested))
    y, test_y = task.train[known].to(h.device), task.test[tested].to(h.device)
    found = EVALUATIONS[task.kind](h[used], y, val_mask, test_h[scored], test_y, len(task.classes))
    return _outcome(task.name, found, len(y), len(test_y))


def on_set(frozen: Frozen, data: DataSet) -> Outcome:
    """Evaluate an encoder at ``h`` on a further labelled set, as :func:`on_task` does on further labels.

    Args:
        frozen: the encoder to evaluate.
        data: the set, by whose name metrics and flags are told.
    """
    there = Frozen(frozen.encoder, frozen.head, frozen.config, frozen.seed, data, frozen.device)
    (h, y, val_mask), (test_h, test_y) = there.train(), there.test()
    found = _classes(h, y[:, None], val_mask, test_h, test_y[:, None], len(data.classes))
    return _outcome(data.name, found, len(y), len(test_y))


def _outcome(name: str, found: Evaluated, fitted: int, scored: int) -> Outcome:
    metrics, said, flags = found
    return Outcome(
        metrics={metric_of(name, metric): value for metric, value in metrics.items() if not math.isnan(value)},
        description=(
            f"task {name}: {said}; refitted on all {fitted} training images with a value, and scored on {scored} test "
            "images"
        ),
        flags=tuple(metric_of(name, flag) for flag in flags),
    )


def _classes(h: Tensor, y: Tensor, val_mask: Tensor, test_h: Tensor, test_y: Tensor, classes: int) -> Evaluated:
    labels, test_labels = y[:, 0].long(), test_y[:, 0].long()
    measure = measure_for(labels.bincount(minlength=classes).tolist())
    result = linear_evaluation(h, labels, val_mask, test_h, classes, measure)
    on_test = every_score("linear", result.test_logits, test_labels, classes)
    on_validation = every_score("linear_val", result.val_logits, labels[val_mask], classes)
    said = f"logistic regression by L-BFGS on standardised h of un-augmented images; {result.choice}; {SCORED}"
    return {**on_test, **on_validation, "linear_l2": result.l2}, said, result.flags


def _regression(h: Tensor, y: Tensor, val_mask: Tensor, test_h: Tensor, test_y: Tensor, _: int) -> Evaluated:
    result = ridge_evaluation(h, y[:, 0], val_mask, test_h)
    scores = {"linear_r2": r2(result.test, test_y[:, 0]), "linear_val_r2": r2(result.val, y[val_mask, 0])}
    said = f"ridge regression on standardised h of un-augmented images; {result.choice}"
    return {**scores, "linear_l2": result.l2}, said, result.flags


def _multilabel(h: Tensor, y: Tensor, val_mask: Tensor, test_h: Tensor, test_y: Tensor, labels: int) -> Evaluated:
    result = multilabel_evaluation(h, y, val_mask, test_h)
    metrics = {}
    for name, scores, of in (("linear", result.test_logits, test_y), ("linear_val", result.val_logits, y[val_mask])):
        metrics[f"{name}_auroc"], metrics[f"{name}_average_precision"] = one_by_one(scores, of)
    said = (
        f"one logistic regression for each of {labels} labels by L-BFGS on standardised h of un-augmented images; "
        f"{result.choice}; average precision and AUROC are means over the labels"
    )
    return {**metrics, "linear_l2": result.l2}, said, result.flags


EVALUATIONS: dict[TaskKind, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int], Evaluated]] = {
    "classes": _classes,
    "regression": _regression,
    "multilabel": _multilabel,
}
"""The evaluation of each kind, of the training images' features, values and validation mask, and of the test images."""
