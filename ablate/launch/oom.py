"""Read from the kernel how much memory this process can take, and how many processes it has killed for lack of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")


def oom_kills() -> int:
    """Count the processes that the kernel has killed for lack of memory so far.

    Kills in this control group and in those that enclose it count. The count is 0 if the kernel does not say. A batch
    system that limits memory puts every job into a group of its own, so a rise during a trial is due to the job.
    """
    try:
        memberships = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(_count(file) for line in memberships for file in _files(*line.split(":", 2)[1:]))


def _files(controllers: str, group: str) -> list[Path]:
    """Return the files that count kills: ``memory.events.local`` (version 2) or ``memory.oom_control`` (version 1).

    Both count only the processes of their own group, so the groups above do not add a kill twice, nor the kills of
    other jobs.
    """
    name = "memory.oom_control" if controllers else "memory.events.local"
    return [folder / name for folder in _folders(controllers, group)]


def _folders(controllers: str, group: str) -> list[Path]:
    """Return the folders with the memory files of a control group and of the groups above it.

    In version 2, ``controllers`` is empty.
    """
    if controllers and "memory" not in controllers.split(","):
        return []
    root = CGROUPS / "memory" if controllers else CGROUPS
    own = root / group.lstrip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]


def _count(file: Path) -> int:
    try:
        words = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return sum(int(number) for name, number in words if name == "oom_kill")
    except (OSError, ValueError):
        return 0


def available() -> int | None:
    """Return how many bytes of memory this process's control group can still take; None if it is not known.

    This is the machine's available memory or, if that is less, what the limit of the group or of one above it leaves.
    Files in the page cache that have not been used lately count as free.
    """
    limits = [number for number in (_of_the_machine(), *_of_the_groups()) if number is not None]
    return max(0, min(limits)) if limits else None


def limit_own(share: float = 0.5) -> None:
    """Limit this process to the memory that it has now, plus ``share`` of what is :func:`available`.

    Allocations beyond the limit raise an error. On systems without such limits, do nothing.
    """
    free, own = available(), _field(STATUS, "VmData:")
    if free is None or own is None:
        return
    import resource  # not on every system

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = own + int(share * free)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _of_the_machine() -> int | None:
    return _field(MEMINFO, "MemAvailable:")


def _field(file: Path, name: str) -> int | None:
    """Read a line ``NAME 123 kB`` of a kernel file, in bytes."""
    try:
        lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return next((int(words[1]) * 1024 for words in lines if words[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None


def _of_the_groups() -> Iterator[int | None]:
    try:
        memberships = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in memberships:
        controllers, group = line.split(":", 2)[1:]
        for folder in _folders(controllers, group):
            version_2 = not controllers
            limit = _number(folder / ("memory.max" if version_2 else "memory.limit_in_bytes"))
            used = _number(folder / ("memory.current" if version_2 else "memory.usage_in_bytes"))
            if limit is not None and used is not None:
                yield limit - used + _statistic(folder, "inactive_file" if version_2 else "total_inactive_file")


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the file does not exist, or holds "max"
        return None


def _statistic(folder: Path, name: str) -> int:
    try:
        words = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(number) for key, number in words if key == name), 0)
    except (OSError, ValueError):
        return 0
