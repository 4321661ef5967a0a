"""Linear evaluation of further tasks, on the same frozen features as that of the main task."""

from __future__ import annotations

from ablate.config.measure import measure_for
from ablate.config.tasks import metric_of
from ablate.data.tasks import TaskLabels
from ablate.evaluation.frozen import Frozen, Outcome
from ablate.evaluation.linear import linear_evaluation
from ablate.evaluation.macro import SCORED, every_score


def on_task(frozen: Frozen, task: TaskLabels) -> Outcome:
    """Evaluate an encoder at ``h`` on a further task, by linear evaluation with a strength l2 of its own.

    Images without a label of the task are left out, in all splits. The names of metrics and flags begin with that of
    the task: ``speaker:linear_top1``.

    Args:
        frozen: the encoder to evaluate.
        task: one of the tasks of its data.
    """
    known, tested = task.known
    h, test_h = frozen.every_training_image(), frozen.test()[0]
    used, val_mask, scored = (mask.to(h.device) for mask in (known, frozen.data.val_mask[known], tested))
    y, test_y = task.train[known, 0].long().to(h.device), task.test[tested, 0].long().to(h.device)
    classes = len(task.classes)
    measure = measure_for(y.bincount(minlength=classes).tolist())
    result = linear_evaluation(h[used], y, val_mask, test_h[scored], classes, measure)
    on_test = every_score("linear", result.test_logits, test_y, classes)
    on_validation = every_score("linear_val", result.val_logits, y[val_mask], classes)
    metrics = {**on_test, **on_validation, "linear_l2": result.l2}
    return Outcome(
        metrics={metric_of(task.name, name): value for name, value in metrics.items()},
        description=(
            f"task {task.name}: logistic regression by L-BFGS on standardised h of un-augmented images; "
            f"{result.choice}, then refitted on all {len(y)} training images with a label of the task; {SCORED} on "
            f"{len(test_y)} test images"
        ),
        flags=tuple(metric_of(task.name, flag) for flag in result.flags),
    )
