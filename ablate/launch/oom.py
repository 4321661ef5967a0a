"""What the kernel says of memory: what is left for this process, and which processes it has killed for lack of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")


def oom_kills() -> int:
    """How many processes the kernel has killed so far in this control group and those that enclose it; 0 if untold.

    A batch system that limits memory puts every job into a group of its own, so a rise during a trial is the job's.
    """
    try:
        memberships = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(_count(file) for line in memberships for file in _files(*line.split(":", 2)[1:]))


def _files(controllers: str, group: str) -> list[Path]:
    """The files that count: ``memory.events.local`` of version 2, ``memory.oom_control`` of version 1.

    Both count the processes of their own group alone, so that the groups above add no kill twice, nor other jobs'.
    """
    name = "memory.oom_control" if controllers else "memory.events.local"
    return [folder / name for folder in _folders(controllers, group)]


def _folders(controllers: str, group: str) -> list[Path]:
    """The folders of a control group and those above it, where they tell of memory; version 2 has no controllers."""
    if controllers and "memory" not in controllers.split(","):
        return []
    root = CGROUPS / "memory" if controllers else CGROUPS
    place = root / group.lstrip("/")
    return [folder for folder in (place, *place.parents) if folder.is_relative_to(root)]


def _count(file: Path) -> int:
    try:
        words = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return sum(int(number) for name, number in words if name == "oom_kill")
    except (OSError, ValueError):
        return 0


def available() -> int | None:
    """Bytes of memory that processes of this one's control group can still take; None where nothing says so.

    The machine's available memory or, if that is less, what a limit leaves: the group's own or one above it. Files in
    the page cache that nobody has touched lately count as free.
    """
    found = [number for number in (_of_the_machine(), *_of_the_groups()) if number is not None]
    return max(0, min(found)) if found else None


def limit_own(share: float = 0.5) -> None:
    """Refuse this process any memory of its own beyond what it has and ``share`` of what is :func:`available`.

    Allocations beyond it raise an error. It does nothing where there are no such limits.
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
    """A line ``NAME 123 kB`` of a file of the kernel's, in bytes."""
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
    except (OSError, ValueError):  # not there, or "max"
        return None


def _statistic(folder: Path, name: str) -> int:
    try:
        words = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(number) for key, number in words if key == name), 0)
    except (OSError, ValueError):
        return 0
