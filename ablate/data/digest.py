"""Digests of content, and what the file system tells about files without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def digest_of(*parts: str | bytes) -> str:
    """Return 24 hex digits of SHA-256 of the parts, each delimited by its length."""
    state = hashlib.sha256()
    for part in parts:
        content = os.fsencode(part) if isinstance(part, str) else part
        state.update(f"{len(content)}:".encode())
        state.update(content)
    return state.hexdigest()[:24]


def stat_of(path: Path) -> tuple[str, str]:
    """Return the size in bytes and the modification time in nanoseconds, as text.

    For an unreadable file, return the reason and an empty text.
    """
    try:
        stat = path.stat()
        return str(stat.st_size), str(stat.st_mtime_ns)
    except OSError as error:  # a dangling link, for instance; decoding will name it
        return str(error.strerror), ""


def listing_of(relpaths: Iterable[str], *columns: Iterable[str]) -> str:
    """Return one line per file: its path, and its value in each of ``columns``."""
    return "\n".join("\0".join(row) for row in zip(relpaths, *columns, strict=True))
