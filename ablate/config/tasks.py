"""The tasks of a sweep: columns of labels, or data sets, by which one training is judged, and how they are named.

The first of them is the main task, which decides all that is decided while a sweep runs. Needs no torch.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from ablate.config.measure import Measure
from ablate.errors import UsageError, unknown

TaskKind = Literal["classes", "regression", "multilabel"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
MEASURES: dict[TaskKind, tuple[Measure, ...]] = {
    "classes": ("top1", "balanced", "f1", "auroc", "ap"),
    "regression": ("r2",),
    "multilabel": ("ap", "auroc"),
}
"""The measures by which compositions can be ranked for each kind of task, the usual one first."""


def check_measure(measure: Measure, task: str, kind: TaskKind) -> None:
    """Refuse a measure that is not one for tasks of this kind.

    Args:
        measure: the measure.
        task: the name of the task, for the message.
        kind: its kind.

    Raises:
        UsageError: it does not suit the task; the message lists those that do.
    """
    if measure not in MEASURES[kind]:
        raise UsageError(
            f"metric {measure!r} does not suit the task {task}, whose kind is {kind}; allowed: "
            f"{', '.join(MEASURES[kind])}"
        )


class LabelColumn(NamedTuple):
    """A column of labels, and the kind of task that its values are for."""

    name: str
    kind: TaskKind = "classes"


def column_and_kind(text: str) -> LabelColumn:
    """Read one item of ``--label``: ``age:regression``, or ``diagnosis`` for classes.

    Raises:
        UsageError: an unknown kind.
    """
    name, colon, kind = text.rpartition(":")
    if not colon:
        return LabelColumn(text)
    if kind not in KINDS:
        raise unknown("kind of task", kind, KINDS)
    return LabelColumn(name.strip(), kind)


def main_task(label: str | None) -> str:
    """Return the name of the main task, the first column of ``--label``; ``label`` if none was named."""
    first = (label or "label").partition(",")[0].strip()
    return first.removesuffix(":classes")


def metric_of(task: str, metric: str) -> str:
    """Return the name under which a record holds a metric of a further task: ``speaker:linear_top1``."""
    return f"{task}:{metric}"


def metrics_of(task: str, metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics of a further task under their usual names, ``linear_top1`` for ``speaker:linear_top1``.

    Metrics that need no labels belong to every task.
    """
    prefix = metric_of(task, "")
    own = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
    own = {name: value for name, value in own.items() if ":" not in name}  # those of glyphs:7 are none of glyphs
    return {name: value for name, value in metrics.items() if name in LABEL_FREE} | own


LABEL_FREE = ("rankme", "lidar", "common_alignment", "common_uniformity", "alignment", "uniformity")
