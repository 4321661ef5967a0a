"""Processes by a token in their environment, with all that they have started.

As a script, ``processes.py NAME=token FOLDER...`` waits for the end of its input, which is that of the process that
holds the other end, then kills them and removes the folders: the clean-up after a killed test session.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def holding(*entries: str) -> set[int]:
    """The processes that were started with all of these ``NAME=value`` in their environment (zombies have none)."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            environment = (folder / "environ").read_bytes().split(b"\0")
            if all(entry.encode() in environment for entry in entries):
                found.add(int(folder.name))
    return found - {os.getpid()}


def with_descendants(processes: set[int]) -> set[int]:
    children: dict[int, set[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, set()).add(int(folder.name))
    found, new = set(processes), set(processes)
    while new:
        new = set().union(*(children.get(process, set()) for process in new)) - found
        found |= new
    return found


def name(process: int) -> str:
    """Empty where it has ended, be it as a zombie, which one stays for as long as pid 1 does not look."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{process}/stat").read_text()
        if text.rpartition(")")[2].split()[0] not in "ZX":
            return text.partition("(")[2].rpartition(")")[0]
    return ""


def kill_all(*entries: str, timeout: float = 60) -> None:
    """Kill them, slurmd and slurmstepd first: they would report or restart what they see dying."""
    deadline = time.monotonic() + timeout
    while processes := with_descendants(holding(*entries)):
        for process in sorted(processes, key=lambda number: (name(number)[:5] != "slurm", number)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"still alive: {sorted((p, name(p)) for p in processes)}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.read()
    kill_all(sys.argv[1])
    for folder in sys.argv[2:]:
        shutil.rmtree(folder, ignore_errors=True)
