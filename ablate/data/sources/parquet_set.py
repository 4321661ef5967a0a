"""The images of ``parquet:PATH``: encoded in the rows of Parquet files, as Hugging Face's ``datasets`` stores them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from ablate.data.decoding.contents import INSIDE
from ablate.data.decoding.parquet import image_column, open_parquet, plain_columns, texts
from ablate.data.sources.annotations import LABEL, Row, label_column, listing_from, without_use
from ablate.data.sources.containers import containers, splits_of
from ablate.data.sources.listing import Listing, named, named_file
from ablate.errors import UsageError, printable


def scan_parquet(path: Path, label: str | None) -> Listing:
    """List the images in a Parquet file, or in all of a directory; images are not read.

    A split is named by a column ``split``, or by the names of the files: ``train-00000-of-00002.parquet``.

    Args:
        path: the file or the directory.
        label: the column of the labels; by default ``label``.

    Raises:
        UsageError: there is no such file, pyarrow is missing, a column is missing or must be chosen, a value is not
            allowed, or the splits are not possible.
    """
    where = printable(f"parquet: {path}")
    root, names = containers(path, ".parquet", where)
    parts = zip(names, splits_of(names, where), strict=True)
    columns: set[str] = set()
    rows = [row for name, split in parts for row in _rows(root, name, split, label, where, columns)]
    if not rows:
        raise UsageError(f"{where} has no rows")
    own_name, notes = named_file(path) if path.is_file() else named(path), without_use(sorted(columns), label or LABEL)
    return listing_from(rows, root, own_name, where, "parquet", notes)


def _rows(
    root: Path, name: str, split: str | None, label: str | None, where: str, all_columns: set[str]
) -> Iterator[Row]:
    file = open_parquet(root / name, f"{where}: {name}")
    image_column(file, f"{where}: {name}")
    plain = plain_columns(file)
    all_columns |= set(plain)
    chosen = label_column(plain, label, f"{where}: {name}")
    columns = [column for column in plain if column in {chosen, "split", "group"}]
    values = texts(file, columns) if columns else itertools.repeat((), file.metadata.num_rows)
    for number, row in enumerate(values):
        cells = dict(zip(columns, row, strict=True))
        found = cells[chosen] if chosen else None
        at = f"row {number + 1} of {name}"
        yield Row(f"{name}{INSIDE}{number}", at, found, cells.get("split", split), cells.get("group"))
