"""The attempts at a trial: numbered files, each created by one process alone, also on NFS. Needs no torch."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from ablate.config.base import Model
from ablate.files import draft_beside
from ablate.sweep.layout import SweepDir

UNBEGUN = -1  # the step of an attempt whose training has not begun: images and model are being loaded


class Attempt(Model):
    """One attempt at a trial, as stored in its file.

    ``machine`` (boot and pid namespace) and ``born`` (in clock ticks after boot) distinguish the process ``pid`` from
    every other; ``host`` is for human readers. ``job`` is Slurm's id of the job, empty outside Slurm. ``step`` is the
    number of optimiser steps that were done when its training began. ``began`` is in unix seconds. ``released`` is True
    if the holder left the trial in an orderly way.
    """

    number: int
    host: str = ""
    user: str = ""
    machine: str = ""
    pid: int = 0
    born: int = 0
    job: str = ""
    step: int = UNBEGUN
    began: float = 0.0
    released: bool = False

    def __str__(self) -> str:
        """Describe the holder: ``job 17_3 on node4 (process 4711 of ann)``."""
        host = self.host or "an unknown host"
        where = f"job {self.job} on {host}" if self.job else host
        return f"{where} (process {self.pid} of {self.user})"


def last_attempt(directory: Path, trial_id: str) -> Attempt | None:
    """Return the last attempt at the trial, alive or not; None before the first."""
    folder = SweepDir(directory).begun(trial_id)
    number = max(numbers(folder), default=0)
    # An unreadable file counts: it may be in the making on a file system without hard links, and its number is taken.
    return (read_attempt(attempt_file(folder, number)) or Attempt(number=number)) if number else None


def job_id() -> str:
    """Return the id of this process's Slurm job, as ``17`` or ``17_3``; empty outside Slurm."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def attempt_file(folder: Path, number: int) -> Path:
    """Return the file of attempt ``number`` in ``folder``, the directory of a trial that has begun."""
    return folder / f"attempt-{number}.json"


def numbers(folder: Path) -> list[int]:
    """Return the numbers of all attempts in ``folder``, in no order."""
    # The directory is listed, and no counter file is read: names are created atomically, a counter's content is not.
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return [int(match[1]) for name in names if (match := re.fullmatch(r"attempt-(\d+)\.json", name))]


def read_attempt(path: Path) -> Attempt | None:
    """Read an attempt's file; return None if there is none that can be read."""
    try:
        return Attempt.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def create(path: Path, content: str) -> bool:
    """Create ``path`` with all of ``content``, atomically even on NFS; return False if it exists already."""
    # A hard link rather than O_EXCL: NFS version 2 did not pass that on to the server, and today's clients create an
    # empty file first, which others may read before it has content. Rename will not do, since it replaces what is
    # there.
    handle, draft = draft_beside(path)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            # NFS clients repeat a request whose answer was lost. If the first one was carried out, the repetition says
            # "exists"; the number of the draft's links says whose link it is.
            return draft.stat().st_nlink == 2
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
                raise
            # exFAT, some FUSE and cloud mounts have no hard links. There, exclusive creation is the best there is;
            # such disks are seldom shared by several hosts.
            return _create_in_place(path, content)
        return True
    finally:
        draft.unlink()  # its content lives on under the other name


def _create_in_place(path: Path, content: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True
