"""The columns of further tasks: which ones ``--label`` names, and their cells as numbers, or refused by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ablate.config.tasks import LabelColumn
from ablate.data.sources.listing import TaskColumn
from ablate.data.sources.rows import Row, check_numbers, classes_of
from ablate.errors import UsageError, printable

Values = list[tuple[float, ...]]
MISSING = math.nan
SEPARATOR, NO_LABEL = "|", "none"
"""What stands between the labels of an image in a cell, and what a cell says of an image without any."""


class Labels(NamedTuple):
    """The columns of labels: that of the main task, None without labels, and those of further tasks."""

    main: str | None
    further: tuple[LabelColumn, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of further tasks."""
        return tuple(column.name for column in self.further)


def values_of(column: LabelColumn, number: int, rows: Sequence[Row], where: str) -> tuple[TaskColumn, Values]:
    """Return a further task, and the value or values of every image, NaN where its cell is empty.

    Args:
        column: the column.
        number: its place in ``further`` of the rows.
        rows: the images.
        where: the table, for messages: ``table: leaves.csv``.

    Raises:
        UsageError: no two images differ, or a cell cannot be read.
    """
    rows = [row._replace(label=row.further[number] or None) for row in rows]
    told = {row.label for row in rows} - {None}
    if len(told) < 2:
        which = f"has only the value {next(iter(told))!r}" if told else "is empty"
        raise UsageError(printable(f"{where}: the column {column.name!r} {which}, so nothing can be learned from it"))
    if column.kind == "regression":
        return TaskColumn(column.name, column.kind), [(_number(row, column.name, where),) for row in rows]
    if column.kind == "multilabel":
        return _several(column.name, rows, where)
    check_numbers(rows, where, column.name)
    classes = classes_of(rows)
    index = {label: float(i) for i, label in enumerate(classes)}
    values: Values = [(MISSING if row.label is None else index[row.label],) for row in rows]
    return TaskColumn(column.name, column.kind, tuple(classes)), values


def _number(row: Row, column: str, where: str) -> float:
    """Return the number that a row's label is, NaN if it has none."""
    if row.label is None:
        return MISSING
    try:
        number = float(row.label)
    except ValueError:
        number = MISSING
    if not math.isfinite(number):
        raise UsageError(
            printable(
                f"{where}: {row.at} ({row.relpath}) has the {column} {row.label!r}, which is no number: write it as "
                "one, or leave the cell empty"
            )
        )
    return number


def _several(name: str, rows: Sequence[Row], where: str) -> tuple[TaskColumn, Values]:
    """Return the task of a column whose cells hold several labels each, as ``red|round``, or ``none``."""
    each = [None if row.label is None else _labels_in(row, name, where) for row in rows]
    every = sorted(set().union(*(labels for labels in each if labels is not None)))
    values: Values = [
        (MISSING,) * len(every) if labels is None else tuple(float(label in labels) for label in every)
        for labels in each
    ]
    return TaskColumn(name, "multilabel", tuple(every)), values


def _labels_in(row: Row, column: str, where: str) -> set[str]:
    """Return the labels of a row's cell, no label for ``none``."""
    assert row.label is not None
    labels = {label.strip() for label in row.label.split(SEPARATOR)} - {""}
    if labels == {NO_LABEL}:
        return set()
    if labels and NO_LABEL not in labels:
        return labels
    raise UsageError(
        printable(
            f"{where}: {row.at} ({row.relpath}) has the {column} {row.label!r}: write labels with a bar between them, "
            f"{NO_LABEL!r} alone for an image without any, or leave the cell empty if they are not known"
        )
    )
