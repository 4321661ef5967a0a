"""The images of ``table:FILE``: a CSV, TSV or Parquet file with a path, a label, a split and a group per image."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from ablate.config.sources import KINDS
from ablate.data.decoding.parquet import open_parquet, plain_columns, texts
from ablate.data.sources.annotations import canonical_columns, label_columns, listing_from, without_use
from ablate.data.sources.listing import Listing, named_file
from ablate.data.sources.rows import Row
from ablate.data.sources.task_columns import Labels
from ablate.errors import UsageError, nearest, printable

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"
Cells = tuple[str, dict[str, str]]  # where a row is written, and its values by column


def scan_table(path: Path, label: str | None) -> Listing:
    """List the images of a table, whose paths are relative to the table's own directory.

    Args:
        path: the table. Its columns are ``path``, a label, and perhaps ``split`` and ``group``.
        label: the column of the labels, by default ``label``; or several, see
            :func:`~ablate.data.sources.annotations.label_columns`.

    Raises:
        UsageError: the file cannot be read as a table, a column or a value is missing or not allowed, or a path does
            not exist; the message names the line.
    """
    where = printable(f"table: {path}")
    if not path.is_file():
        raise UsageError(
            f"{where} is a directory; give the table itself" if path.is_dir() else f"{where} does not exist"
        )
    columns, cells = _read(path, where)
    if "path" not in columns:
        raise UsageError(
            f"{where} has no column 'path'{nearest('path', columns)}; its columns are {', '.join(columns) or 'none'}"
            f"{_separators(path, columns)}"
        )
    chosen = label_columns(columns, label, where)
    rows = [_row(at, row, chosen, path.parent, where) for at, row in cells]
    if not rows:
        raise UsageError(f"{where} has no rows below its header")
    notes = without_use(columns, chosen)
    return listing_from(rows, path.parent, named_file(path), where, notes=notes, further=chosen.further)


def _row(at: str, cells: dict[str, str], labels: Labels, root: Path, where: str) -> Row:
    relpath = os.path.normpath(cells["path"]) if cells["path"] else ""
    if not relpath:
        raise UsageError(f"{where}: {at} has no path")
    if not Path(root, relpath).is_file():
        slashes = "; write its path with / in place of \\" if Path(root, relpath.replace("\\", "/")).is_file() else ""
        raise UsageError(printable(f"{where}: {at} names {relpath}, and {Path(root, relpath)} does not exist{slashes}"))
    label, further = cells[labels.main] if labels.main else None, tuple(cells[name] for name in labels.names)
    return Row(relpath, at, label, cells.get("split"), cells.get("group"), further)


def _read(path: Path, where: str) -> tuple[list[str], Iterator[Cells]]:
    """Return the columns of a table and its rows, whose values are text without spaces at either end."""
    kind = path.suffix.lower()
    if kind == PARQUET:
        file = open_parquet(path, where)
        stored = plain_columns(file)
        names = canonical_columns(stored, where)
        records = (dict(zip(names, row, strict=True)) for row in texts(file, stored))
        return names, ((f"row {number}", row) for number, row in enumerate(records, 1))
    if kind not in DELIMITERS:
        allowed = ", ".join(KINDS["table"].endings)
        raise UsageError(f"{where}: the name of a table ends in its format; allowed: {allowed}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a byte order mark
            reader = csv.reader(file, delimiter=DELIMITERS[kind], strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if line]
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8; save it as UTF-8") from None
    except csv.Error as error:
        raise UsageError(f"{where}: line {reader.line_num} cannot be read: {error}") from None
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}") from None
    (_, header), *rows = lines or [(1, [])]
    columns = canonical_columns(header, where)
    for number, line in rows:
        if len(line) != len(columns):
            raise UsageError(f"{where}: line {number} has {len(line)} values, and the header {len(columns)} columns")
    return columns, ((f"line {number}", dict(zip(columns, line, strict=True))) for number, line in rows)


def _separators(path: Path, columns: list[str]) -> str:
    """Return a hint if the header was not separated, as in files of spreadsheets in many countries."""
    delimiter = DELIMITERS.get(path.suffix.lower())
    if len(columns) != 1 or delimiter is None or not set(columns[0]) & {";", "\t", ","}:
        return ""
    return f"; in a {path.suffix} file, {'commas' if delimiter == ',' else 'tabs'} separate columns: save it so"
