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
    check_numbers(rows, where, column.name)
    classes = classes_of(rows)
    index = {label: float(i) for i, label in enumerate(classes)}
    values: Values = [(MISSING if row.label is None else index[row.label],) for row in rows]
    return TaskColumn(column.name, column.kind, tuple(classes)), values
