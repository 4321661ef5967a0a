"""Leases on trials, which hold across hosts and on NFS by means of files alone. Needs no torch.

Every attempt at a trial is a file, ``DIR/running/<id>/attempt-<n>.json``. The process that creates number n + 1,
exclusively, holds the trial, and all earlier holders have lost it. A holder touches its file every :data:`BEAT`
seconds. Another process may take the trial over once the holder's process is gone, or once its file has not been
touched for :data:`STALE` seconds by the file server's clock. A holder that was wrongly believed dead (a node that was
cut off, a daemon that was killed alone) finds a higher number than its own, and must write nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablate.config.base import Model
from ablate.errors import DiskError, LostLease, TrialHeld
from ablate.files import write_atomically
from ablate.processes.identity import UNTOLD, machine_id, start_time, user_name
from ablate.sweep.layout import SweepDir

Held = TrialHeld  # the name in earlier versions, kept for one release

BEAT = 20.0  # seconds between signs of life
STALE = 120.0  # seconds without a sign of life after which a holder on another machine counts as dead
TRIES = 3  # how often an attempt is repeated while its folder is being removed
UNBEGUN = -1  # the step of an attempt whose training has not begun: images and model are being loaded
FRUITLESS = 2  # attempts of one job that may begin at the same step before the next one is refused


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


@dataclass
class Lease:
    """The right to write the files of a trial, as long as no attempt has a higher ``number``.

    Every process of a trial may have a lease; the process that got it from :func:`claim` also keeps it alive.
    """

    directory: Path
    trial_id: str
    number: int

    @property
    def path(self) -> Path:
        """The attempt's file."""
        return _path(SweepDir(self.directory).begun(self.trial_id), self.number)

    def held(self) -> bool:
        """Return False once another process has taken the trial over, or finished it."""
        return max(_numbers(SweepDir(self.directory).begun(self.trial_id)), default=0) == self.number

    def check(self) -> None:
        """Raise LostLease unless the lease is :meth:`held`; to be called before anything is written."""
        if not self.held():
            other = last_attempt(self.directory, self.trial_id) or "it has finished"
            raise LostLease(f"another process has taken this trial over ({other}); nothing more was written")

    def begin(self, step: int) -> None:
        """Note in the attempt's file that training continues from optimiser step ``step``."""
        self.check()
        attempt = _read(self.path)
        if attempt is not None:
            write_atomically(self.path, attempt.replace(step=step).model_dump_json())

    def is_fruitless(self, step: int) -> bool:
        """Return True if the job's last two attempts at the trial also began at ``step``.

        Another attempt would end in the same way.
        """
        folder = SweepDir(self.directory).begun(self.trial_id)
        earlier = sorted(number for number in _numbers(folder) if number < self.number)
        last = [_read(_path(folder, number)) or Attempt(number=number) for number in earlier[-FRUITLESS:]]
        job = job_id()
        return bool(job) and len(last) == FRUITLESS and all(a.job == job and a.step == step for a in last)


@contextlib.contextmanager
def claim(directory: Path, trial_id: str) -> Iterator[Lease]:
    """Hold the trial until the end of the block, and give a sign of life every :data:`BEAT` seconds.

    Raises:
        TrialHeld: another process holds it.
        DiskError: the disk refused the file.
    """
    with _claiming:
        lease = _take(directory, trial_id)
        mine = lease.path.resolve()
        _mine.add(mine)
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(lease.path, over), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        over.set()
        _mine.discard(mine)
        with contextlib.suppress(OSError):  # a full disk: the end of the process releases it too
            release(directory, trial_id, lease.number)


def release(directory: Path, trial_id: str, number: int) -> None:
    """Mark attempt ``number`` as released by its holder; do nothing if it is not the last attempt.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        number: the attempt's number.
    """
    lease = Lease(directory, trial_id, number)
    if lease.held() and (attempt := _read(lease.path)) is not None:
        write_atomically(lease.path, attempt.replace(released=True).model_dump_json())


def last_attempt(directory: Path, trial_id: str) -> Attempt | None:
    """Return the last attempt at the trial, alive or not; None before the first."""
    folder = SweepDir(directory).begun(trial_id)
    number = max(_numbers(folder), default=0)
    return (_read(_path(folder, number)) or Attempt(number=number)) if number else None


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
    if attempt.machine == machine_id():
        if attempt.pid == os.getpid():
            return _path(SweepDir(directory).begun(trial_id), attempt.number).resolve() in _mine
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
        with _path(SweepDir(directory).begun(trial_id), attempt.number).open(
            encoding="utf-8"
        ) as file:  # makes NFS ask the server
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0


def is_made_by(attempt: Attempt, pid: int) -> bool:
    """Return True if process ``pid`` of this machine made ``attempt``; process ids repeat across machines."""
    return (attempt.machine, attempt.pid) == (machine_id(), pid)


def job_id() -> str:
    """Return the id of this process's Slurm job, as ``17`` or ``17_3``; empty outside Slurm."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


_mine: set[Path] = set()  # the attempts that this process is making
_claiming = threading.Lock()  # held from the search for a holder until the claim: one thread of this process at a time


def _take(directory: Path, trial_id: str) -> Lease:
    folder = SweepDir(directory).begun(trial_id)
    try:
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):  # the trial has finished, and its folder was just removed
                return _succeed(directory, trial_id)
        return _succeed(directory, trial_id)
    except OSError as error:
        raise DiskError(error.errno, error.strerror, str(folder)) from error


def _succeed(directory: Path, trial_id: str) -> Lease:
    """Make the attempt that follows the last one, unless the last one is still being made."""
    folder = SweepDir(directory).begun(trial_id)
    folder.mkdir(parents=True, exist_ok=True)
    last = last_attempt(directory, trial_id)
    if last and is_alive(directory, trial_id, last, _server_time(folder)):
        raise TrialHeld(last)
    number = last.number + 1 if last else 1
    attempt = Attempt(
        number=number,
        host=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        user=user_name(),
        machine=machine_id(),
        pid=os.getpid(),
        born=start_time(os.getpid()),
        job=job_id(),
        began=time.time(),
    )
    if not _create(_path(folder, number), attempt.model_dump_json()):
        raise TrialHeld(last_attempt(directory, trial_id) or attempt)
    return Lease(directory, trial_id, number)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT):
        with contextlib.suppress(OSError):  # the lease was lost, or the file server hangs: see at the next beat
            os.utime(path)


def _path(folder: Path, number: int) -> Path:
    return folder / f"attempt-{number}.json"


def _numbers(folder: Path) -> list[int]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return [int(match[1]) for name in names if (match := re.fullmatch(r"attempt-(\d+)\.json", name))]


def _read(path: Path) -> Attempt | None:
    try:
        return Attempt.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _create(path: Path, content: str) -> bool:
    """Create ``path`` with all of ``content``, atomically even on NFS; return False if it exists already."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return draft.stat().st_nlink == 2  # NFS: the answer to a link that succeeded was lost, and it was repeated
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
                raise
            return _create_in_place(path, content)  # a file system without hard links
        return True
    finally:
        draft.unlink()


def _create_in_place(path: Path, content: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _server_time(folder: Path) -> float:
    """Return the time of the file server, which stamps files; the clocks of hosts may differ from it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b".")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
