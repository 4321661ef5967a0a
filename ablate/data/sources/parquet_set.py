"""The images of ``parquet:PATH``: encoded in the rows of Parquet files, as Hugging Face's ``datasets`` stores them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from ablate.data.decoding.contents import INSIDE
from ablate.data.decoding.parquet import class_names, image_column, open_parquet, plain_columns, texts
from ablate.data.sources.annotations import canonical, canonical_columns, label_columns, listing_from, without_use
from ablate.data.sources.containers import containers, splits_of
from ablate.data.sources.listing import Listing, named, named_file
from ablate.data.sources.rows import Row
from ablate.data.sources.task_columns import Labels
from ablate.errors import UsageError, printable


def scan_parquet(path: Path, label: str | None) -> Listing:
    """List the images in a Parquet file, or in all of a directory; images are not read.

    A split is named by a column ``split``, or by the names of the files: ``train-00000-of-00002.parquet``.

    Args:
        path: the file or the directory.
        label: the column of the labels, by default ``label``, or several.

    Raises:
        UsageError: there is no such file, pyarrow is missing, a column is missing or must be chosen, files have
            other columns or class names, a value is missing or not allowed, or the splits are not possible.
    """
    where = printable(f"parquet: {path}")
    root, names = containers(path, ".parquet", where)
    parts = zip(names, splits_of(names, where), strict=True)
    columns, chosen = _common_columns(root, names, label, where)
    rows = [row for name, split in parts for row in _rows(root, name, split, chosen, where)]
    if not rows:
        raise UsageError(f"{where} has no rows")
    own_name = named_file(path) if path.is_file() else named(path)
    return listing_from(rows, root, own_name, where, "parquet", without_use(columns, chosen), chosen.further)


def _common_columns(root: Path, names: Sequence[str], label: str | None, where: str) -> tuple[list[str], Labels]:
    """Return the columns of the files, and those of the labels.

    Raises:
        UsageError: some files lack the labels, splits or groups of others, or have other names of classes.
    """
    files = {name: _columns(root, name, where) for name in names}
    columns = list(dict.fromkeys(itertools.chain.from_iterable(files.values())))
    chosen = label_columns(columns, label, where)
    for column in filter(None, (chosen.main, *chosen.names, "split", "group")):
        having = [name for name in names if column in files[name]]
        if lacking := next((name for name in names if having and column not in files[name]), None):
            raise UsageError(
                printable(f"{where}: {having[0]} has a column {column!r}, and {lacking} has none: add it to every file")
            )
        if other := next((name for name in having if files[name][column] != files[names[0]][column]), None):
            raise UsageError(
                printable(f"{where}: {names[0]} and {other} name the classes of {column!r} differently: use one list")
            )
    return columns, chosen


def _columns(root: Path, name: str, where: str) -> dict[str, list[str] | None]:
    """Return the columns of a file that are no images, each with the names of its classes, if it has them."""
    file = open_parquet(root / name, f"{where}: {name}")
    image_column(file, f"{where}: {name}")
    stored = plain_columns(file)
    columns = canonical_columns(stored, f"{where}: {name}")
    return {column: class_names(file, own) for column, own in zip(columns, stored, strict=True)}


def _rows(root: Path, name: str, split: str | None, chosen: Labels, where: str) -> Iterator[Row]:
    file = open_parquet(root / name, f"{where}: {name}")
    stored = {canonical(own): own for own in plain_columns(file)}
    columns = [column for column in stored if column in {chosen.main, *chosen.names, "split", "group"}]
    every = itertools.repeat((), file.metadata.num_rows)
    values = texts(file, [stored[column] for column in columns]) if columns else every
    for number, row in enumerate(values):
        cells = dict(zip(columns, row, strict=True))
        label_text = cells[chosen.main] if chosen.main else None
        further = tuple(cells[name] for name in chosen.names)
        at = f"row {number + 1} of {name}"
        yield Row(f"{name}{INSIDE}{number}", at, label_text, cells.get("split", split), cells.get("group"), further)
