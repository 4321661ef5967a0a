"""The holder of a trial: the process of its last attempt, as long as that is alive. Needs no torch."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from ablate.processes.identity import UNTOLD, machine_id, start_time
from ablate.sweep.attempts import Attempt, attempt_file, last_attempt
from ablate.sweep.layout import SweepDir

# Seconds without a sign of life after which a holder on another machine counts as dead. Longer than an NFS server is
# away when it restarts (its grace period is 90 s by default): two processes at one trial cost more than two minutes.
STALE = 120.0

# The attempts that this process is making. Its process id alone cannot say that: a worker makes attempt after attempt,
# and one that was left without release, on a full disk, would look alive for as long as the worker lives.
MINE: set[Path] = set()


def holder(directory: Path, trial_id: str, now: float | None = None) -> Attempt | None:
    """Return the attempt that is being made at the trial, or None.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        now: unix seconds by the file server's clock; None: by this machine's.
    """
    attempt = last_attempt(directory, trial_id)
    return attempt if attempt and is_alive(directory, trial_id, attempt, now) else None


def is_alive(directory: Path, trial_id: str, attempt: Attempt, now: float | None = None) -> bool:
    """Return True if ``attempt`` is being made: its process lives, or its last sign of life is recent.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        attempt: the trial's last attempt.
        now: unix seconds by the file server's clock; None: by this machine's.
    """
    if attempt.released:
        return False
    # On this machine the process itself can be asked, so that a sweep that crashed resumes at once, not after STALE.
    if attempt.machine == machine_id():
        if attempt.pid == os.getpid():
            return attempt_file(SweepDir(directory).begun(trial_id), attempt.number).resolve() in MINE
        # Process ids are given out again, after a restart or once all are used; with the start time they are not.
        if (born := start_time(attempt.pid)) != UNTOLD:
            return born == attempt.born
    return (time.time() if now is None else now) - last_beat(directory, trial_id, attempt) < STALE


def last_beat(directory: Path, trial_id: str, attempt: Attempt) -> float:
    """Return the time of the last sign of life of ``attempt``'s holder.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        attempt: an attempt at the trial.

    Returns:
        Unix seconds by the file server's clock; 0 if they are not known.
    """
    try:
        path = attempt_file(SweepDir(directory).begun(trial_id), attempt.number)
        # NFS caches the times of files, for a minute by default; opening one makes the client ask the server.
        with path.open(encoding="utf-8") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0


def is_made_by(attempt: Attempt, pid: int) -> bool:
    """Return True if process ``pid`` of this machine made ``attempt``; process ids repeat across machines."""
    return (attempt.machine, attempt.pid) == (machine_id(), pid)


def server_time(folder: Path) -> float:
    """Return the time of the file server, which stamps files; the clocks of hosts may differ from it."""
    # The clocks of hosts may differ by minutes; the times of files on one server come from one clock, whoever reads
    # them. fstat makes an NFS client send the byte first, so that the server stamps the file now.
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b".")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
