"""The identity of a process, which tells it from every other on every machine."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

UNTOLD = 0  # the start time of a process that exists, where the system does not say when it began


def machine_id() -> str:
    """Return an identifier of this kernel's boot and of this container's process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def start_time(pid: int) -> int:
    """Return the time at which a process on this machine began, in clock ticks after boot.

    It is -1 if there is no such process, and 0 if the system does not say: systems other than Linux do not, nor does a
    system that hides other users' processes (``hidepid``).
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return UNTOLD if _exists(pid) else -1
    return -1 if state == "Z" else int(rest[18])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def user_name() -> str:
    """Return the name of the user of this process, or the user id where there is no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for the user
        return str(os.getuid())
