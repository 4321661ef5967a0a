"""Names made of content: digests, and what a directory says of its files without their being read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def digest_of(*parts: str | bytes) -> str:
    """24 hex digits of SHA-256 of the parts, each delimited by its length."""
    state = hashlib.sha256()
    for part in parts:
        content = os.fsencode(part) if isinstance(part, str) else part
        state.update(f"{len(content)}:".encode())
        state.update(content)
    return state.hexdigest()[:24]


def stat_of(path: Path) -> tuple[str, str]:
    """Size in bytes and modification time in nanoseconds, as text; of an unreadable file the reason, and nothing."""
    try:
        stat = path.stat()
        return str(stat.st_size), str(stat.st_mtime_ns)
    except OSError as error:  # a dangling link, for instance; decoding will name it
        return str(error.strerror), ""


def listing_of(places: Iterable[str], *columns: Iterable[str]) -> str:
    """One line per file: its place and what else is said of it."""
    return "\n".join("\0".join(row) for row in zip(places, *columns, strict=True))
