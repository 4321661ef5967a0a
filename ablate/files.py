"""Write files so that nobody ever reads half of one, and list directories."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from ablate.errors import DiskError, UsageError, expanded

DiskTrouble = DiskError  # the name in earlier versions, kept for one release


def write_atomically(path: Path, content: str | bytes, *, synced: bool = True) -> None:
    """Write ``content`` to a unique temporary name beside ``path`` and rename: a reader sees all of it or none.

    Args:
        path: the file; its directory is made if there is none.
        content: all of its content.
        synced: wait until the disk has it. Without, a machine that loses power may leave an empty file.

    Raises:
        DiskError: no room, no permission, a file in place of a directory.
    """
    try:
        _write_and_rename(path, content.encode() if isinstance(content, str) else content, synced)
    except OSError as error:
        raise DiskError(error.errno, error.strerror, str(path)) from error


def _write_and_rename(path: Path, content: bytes, synced: bool) -> None:
    # The directory is nearly always there: asking for it each time would be two more questions to a file server.
    try:
        handle, draft = draft_beside(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = draft_beside(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def draft_beside(path: Path) -> tuple[int, Path]:
    """Make a hidden file of a unique name beside ``path``, with the permissions of any new file.

    Returns:
        The file, open for writing, and its path.

    Raises:
        FileNotFoundError: there is no such directory.
    """
    draft = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}")  # a name may have 255 bytes
    return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), draft


def set_aside(path: Path, why: str = "damaged") -> Path:
    """Rename ``path`` to ``<name>.<why>`` (numbered when that is taken) and return the new path."""
    target, number = path.with_name(f"{path.name}.{why}"), 0
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{why}{number}")
    path.replace(target)
    return target


def names_in(directory: Path) -> set[str]:
    """Return the names in ``directory``; an empty set if there is no such directory.

    Asking for thousands of names one by one is slow on a network file system, and most of them may not exist.
    """
    try:
        return {path.name for path in directory.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def check_directory(directory: Path) -> None:
    """Raise UsageError if there is a file where ``directory`` is to be made."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file, where a directory of that name is needed; move the file away")


def check_writable(directory: Path, option: str = "--out") -> None:
    """Raise UsageError, which names ``option``, unless files can be made in ``directory``; leave nothing behind.

    A directory that does not exist is looked at where it would be made.
    """
    expanded(str(directory))  # refuses names that sweep.toml cannot hold
    try:
        existing = directory
        while not existing.exists():
            if existing.is_symlink():
                raise UsageError(f"{option} {directory}: {existing} is a link that leads nowhere; choose a directory")
            existing = existing.parent
        if not existing.is_dir():
            raise UsageError(f"{option} {directory}: {existing} is a file; choose a directory")
        with tempfile.TemporaryDirectory(dir=existing, prefix=".ablate-"):
            pass
    except OSError as error:
        raise UsageError(f"{option} {directory} is not writable ({error.strerror}); choose another directory") from None


def check_file(path: Path) -> None:
    """Raise UsageError unless a file can be written to ``path``, in a directory that exists and is writable."""
    if path.is_dir():
        raise UsageError(f"--out {path} is a directory; name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: there is no directory {path.absolute().parent}")
    check_writable(path.absolute().parent)


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log; empty if it cannot be read."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""
