"""Rows of annotations: what a table says of one image, and the classes that its labels name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ablate.errors import UsageError, printable

WHOLE = re.compile(r"(-?\d+)(\.0+)?")  # a whole number, also as a column of floating-point numbers has it


class Row(NamedTuple):
    """What is known of one image; a value is None if the whole set has no such column.

    ``at`` is where it is written, for messages: ``line 7``. ``further`` are the cells of the columns of further tasks,
    in the order of the tasks, empty where an image has no value.
    """

    relpath: str
    at: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    further: tuple[str, ...] = ()


def check_numbers(rows: Sequence[Row], where: str, column: str = "label") -> None:
    """Refuse one whole number written in two ways, such as 1 and 1.0: they would be two classes."""
    seen: dict[str, Row] = {}
    for row in rows:
        if row.label is None or not (match := WHOLE.fullmatch(row.label)):
            continue
        before = seen.setdefault(match[1], row)
        if before.label != row.label:
            raise UsageError(
                printable(
                    f"{where}: {row.at} has the {column} {row.label!r}, and {before.at} has {before.label!r}, the same "
                    "number: write it in one way, as whole numbers or as text"
                )
            )


def classes_of(rows: Sequence[Row]) -> list[str]:
    """Return the classes that the labels name: whole numbers in their order, others in that of their text."""
    labels = {row.label for row in rows if row.label is not None}
    numbers = {label: int(match[1]) for label in labels if (match := WHOLE.fullmatch(label))}
    return sorted(labels, key=lambda label: (numbers[label] if len(numbers) == len(labels) else 0, label))
