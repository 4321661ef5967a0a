"""The bytes of encoded images: of files, of rows of Parquet files or of members of tar files. Needs no torch."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ablate.data.decoding.parquet import image_bytes
from ablate.data.decoding.tar import member_bytes
from ablate.errors import first_line

Held = Literal["files", "parquet", "tar"]
"""What holds the images: each is a file of its own, a row of a Parquet file, or a member of a tar file."""
INSIDE = "::"  # between the path of a Parquet or tar file and the row or member in it
UNREADABLE = "unreadable: "
READERS: dict[str, Callable[[Path, list[str]], Iterator[bytes]]] = {"parquet": image_bytes, "tar": member_bytes}


def file_of(held: Held, relpath: str) -> str:
    """Return the path of the file that holds an image: ``a.tar`` for ``a.tar::0001.jpg``."""
    return relpath if held == "files" else relpath.partition(INSIDE)[0]


def contents(held: Held, root: Path, relpaths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield the SHA-256 of every image and its content; for an unreadable one, the reason and None.

    Args:
        held: what holds the images.
        root: the directory to which the paths are relative.
        relpaths: the images; those in one Parquet or tar file follow each other, rows in ascending order.
    """
    if held == "files":
        yield from (content_of(root / relpath) for relpath in relpaths)
        return
    for name, group in itertools.groupby(relpaths, lambda relpath: relpath.partition(INSIDE)[0]):
        inside = [relpath.partition(INSIDE)[2] for relpath in group]
        done = 0
        try:
            for content in READERS[held](root / name, inside):
                yield hashlib.sha256(content).hexdigest(), content
                done += 1
        except Exception as error:  # damaged files make pyarrow and tarfile raise exceptions of all kinds
            yield from [(f"{UNREADABLE}{first_line(error)}", None)] * (len(inside) - done)


def content_of(path: Path) -> tuple[str, bytes | None]:
    """Return the SHA-256 of a file and its content; for an unreadable file, the reason and None."""
    try:
        content = path.read_bytes()
    except OSError as error:  # a dangling link, for instance
        return f"{UNREADABLE}{error.strerror}", None
    return hashlib.sha256(content).hexdigest(), content
