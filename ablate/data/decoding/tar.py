"""Tar files: their members in order, and the bytes of some of them. Nothing is extracted. Needs no torch."""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """A file in a tar file: its name, and where its bytes begin and how many they are."""

    name: str
    start: int
    size: int


def members(path: Path) -> Iterator[Member]:
    """Yield the files in an uncompressed tar file; only headers are read.

    Raises:
        OSError: it cannot be read.
        tarfile.TarError: it is no tar file, or compressed, or truncated.
    """
    with tarfile.open(path, "r:") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # otherwise it keeps them all
            if member.isreg():
                yield Member(member.name, member.offset_data, member.size)


def member_bytes(path: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of the members ``names``."""
    index = _index(path, path.stat().st_mtime_ns)
    with path.open("rb") as file:
        for name in names:
            member = index[name]
            file.seek(member.start)
            yield file.read(member.size)


@functools.lru_cache(maxsize=1)
def _index(path: Path, changed: int) -> dict[str, Member]:
    return {member.name: member for member in members(path)}
