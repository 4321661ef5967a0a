"""What the kernel says of processes that it killed for lack of memory: the counters of this process's control group."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def oom_kills() -> int:
    """How many processes the kernel has killed so far in this control group and those that enclose it; 0 if untold.

    A batch system that limits memory puts every job into a group of its own, so a rise during a trial is the job's.
    """
    try:
        memberships = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return 0
    return sum(_count(file) for line in memberships for file in _files(*line.split(":", 2)[1:]))


def _files(controllers: str, group: str) -> list[Path]:
    """The files that count: ``memory.events.local`` of version 2, ``memory.oom_control`` of version 1.

    Both count the processes of their own group alone, so that the groups above add no kill twice, nor other jobs'.
    """
    if not controllers:
        root, name = CGROUPS, "memory.events.local"
    elif "memory" in controllers.split(","):
        root, name = CGROUPS / "memory", "memory.oom_control"
    else:
        return []
    place = root / group.lstrip("/")
    return [folder / name for folder in (place, *place.parents) if folder.is_relative_to(root)]


def _count(file: Path) -> int:
    try:
        words = (line.split() for line in file.read_text().splitlines())
        return sum(int(number) for name, number in words if name == "oom_kill")
    except (OSError, ValueError):
        return 0
