"""Parquet files: their columns as text, and the encoded images in their rows. Needs no torch."""

from __future__ import annotations

import bisect
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import UsageError, first_line

ROWS = 1024  # rows of text that are held at once
IMAGES = 32  # rows of images that are held at once
BUFFER = 1 << 20  # bytes of a column that are read at once; without it, whole columns of a row group are
IMAGE = "image"


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
        return pq.ParquetFile(path, buffer_size=BUFFER)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{where} cannot be read as Parquet: {first_line(error)}") from None


def plain_columns(file: Any) -> list[str]:
    """Return the names of the columns whose values are numbers, text or dates."""
    import pyarrow as pa

    return [
        field.name for field in file.schema_arrow if not pa.types.is_nested(field.type) and not _is_binary(field.type)
    ]


def texts(file: Any, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the values of ``columns`` in every row as text without spaces at either end; null and NaN are empty.

    The numbers of a column that Hugging Face's ``datasets`` calls a ``ClassLabel`` are replaced by their names, and a
    number without a name by the empty text.
    """
    names = [class_names(file, column) for column in columns]
    for batch in file.iter_batches(batch_size=ROWS, columns=list(columns), use_threads=False):
        lists = zip((batch[column].to_pylist() for column in columns), names, strict=True)
        yield from zip(*([_text(value, known) for value in values] for values, known in lists), strict=True)


def _text(value: object, names: Sequence[str] | None) -> str:
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if is_missing else str(value).strip()


def class_names(file: Any, column: str) -> list[str] | None:
    """Return the names of the classes that the file's metadata gives for a column of numbers, if it does."""
    try:
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def image_column(file: Any, where: str) -> str:
    """Return the column of the encoded images: bytes, or a structure with the field ``bytes``, as ``datasets`` has it.

    Raises:
        UsageError: there is no such column, or there are several of which none is called ``image``.
    """
    import pyarrow as pa

    candidates = [
        field.name
        for field in file.schema_arrow
        if _is_binary(field.type) or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    if IMAGE in candidates:
        return IMAGE
    if len(candidates) != 1:
        columns = ", ".join(candidates or file.schema_arrow.names) or "none"
        if candidates:
            raise UsageError(
                f"{where} has several columns of encoded images, {columns}: call the one to read {IMAGE!r}"
            )
        raise UsageError(f"{where} has no column of encoded images (bytes); its columns are {columns}")
    return str(candidates[0])


def image_bytes(path: Path, rows: Sequence[str]) -> Iterator[bytes]:
    """Yield the encoded images in ``rows`` of a file, which ascend from 0; a null is empty.

    Only the row groups that hold one of the rows are read, a few images at once.
    """
    file = open_parquet(path, str(path))
    column = image_column(file, str(path))
    numbers = [int(row) for row in rows]
    counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    starts = [0, *itertools.accumulate(counts)]
    for group, (start, end) in enumerate(itertools.pairwise(starts)):
        inside = numbers[bisect.bisect_left(numbers, start) : bisect.bisect_left(numbers, end)]
        if inside:
            yield from _of_group(file, group, column, [number - start for number in inside])


def _of_group(file: Any, group: int, column: str, rows: Sequence[int]) -> Iterator[bytes]:
    is_plain = _is_binary(file.schema_arrow.field(column).type)
    leaf = column if is_plain else f"{column}.bytes"
    batches = file.iter_batches(batch_size=IMAGES, row_groups=[group], columns=[leaf], use_threads=False)
    done = 0
    for number, batch in enumerate(batches):
        values = batch.column(0) if is_plain else batch.column(0).field("bytes")
        while done < len(rows) and rows[done] < (number + 1) * IMAGES:
            yield values[rows[done] - number * IMAGES].as_py() or b""
            done += 1
        if done == len(rows):
            return


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
