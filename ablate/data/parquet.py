"""Parquet files: their columns as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import UsageError, first_line

ROWS = 1024  # rows that are held at once


def open_parquet(path: Path, where: str) -> Any:
    """Return the opened ``pyarrow.parquet.ParquetFile``; only its footer is read.

    Raises:
        UsageError: pyarrow is missing, or the file is no Parquet file; the message begins with ``where``.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"{where}: reading Parquet files needs pyarrow: pip install 'ablate[parquet]'") from None
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{where} cannot be read as Parquet: {first_line(error)}") from None


def plain_columns(file: Any) -> list[str]:
    """Return the names of the columns whose values are numbers, text or dates."""
    import pyarrow as pa

    return [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]


def texts(file: Any, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the values of ``columns`` in every row as text without spaces at either end; a null is the empty text."""
    for batch in file.iter_batches(batch_size=ROWS, columns=list(columns)):
        values = [["" if value is None else str(value).strip() for value in column.to_pylist()] for column in batch]
        yield from zip(*values, strict=True)
