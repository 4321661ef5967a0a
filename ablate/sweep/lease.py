"""Leases on trials, which hold across hosts and on NFS by means of files alone. Needs no torch.

Every attempt at a trial is a file, ``DIR/running/<id>/attempt-<n>.json``. The process that creates number n + 1,
exclusively, holds the trial, and all earlier holders have lost it. A holder touches its file every :data:`BEAT`
seconds. Another process may take the trial over once the holder's process is gone, or once its file has not been
touched for :data:`STALE` seconds by the file server's clock. A holder that was wrongly believed dead (a node that was
cut off, a daemon that was killed alone) finds a higher number than its own, and must write nothing more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import DiskError, LostLease, TrialHeld
from ablate.files import write_atomically
from ablate.processes.identity import machine_id, start_time, user_name
from ablate.sweep.attempts import Attempt, attempt_file, create, job_id, last_attempt, numbers, read_attempt
from ablate.sweep.holders import MINE, is_alive, server_time
from ablate.sweep.layout import SweepDir

Held = TrialHeld  # the name in earlier versions, kept for one release

# Why not filelock, which commands use for a directory (ablate.sweep.lock): it rests on flock. Some NFS mounts (nolock,
# local_lock) keep that within one node, so that two nodes would both have the lock; on others, a node that was cut off
# keeps the lock until it returns, since no other node can see that its process is gone.

# Seconds between signs of life. Six of them fit into STALE: an NFS server that hangs for a minute, or a process that
# is stopped for that long, loses no trial.
BEAT = 20.0
# How often an attempt is repeated while its folder is being removed. Whoever finishes the trial removes it once; if
# the folder is missing again and again, the disk is at fault.
TRIES = 3
# Attempts of one job that may begin at the same step before the next one is refused. One may be bad luck, such as a
# node that fails; after two, it is likely that the time of the job is too short for a checkpoint.
FRUITLESS = 2


@dataclass(frozen=True)
class Lease:
    """The right to write the files of a trial, as long as no attempt has a higher ``number``.

    Only this module makes leases: :func:`claim` for the holder, which keeps it alive; :func:`handed_on` for the other
    processes of the trial; :func:`inherit` for whoever writes the record of a trial whose last attempt is over.
    """

    directory: Path
    trial_id: str
    # The fencing number: it only grows, so a process that slept through its own succession can tell that it is late,
    # however long it slept and whatever its clock says. A lease that expires by time alone could not tell that.
    number: int

    @property
    def path(self) -> Path:
        """The attempt's file."""
        return attempt_file(SweepDir(self.directory).begun(self.trial_id), self.number)

    def held(self) -> bool:
        """Return False once another process has taken the trial over, or finished it."""
        # Equal, not at most: once the trial has finished, its folder is removed, and there is no number at all. The
        # names are listed anew each time: NFS may serve a listing that is seconds old, and a copy of ours would add to
        # that.
        return max(numbers(SweepDir(self.directory).begun(self.trial_id)), default=0) == self.number

    def check(self) -> None:
        """Raise LostLease unless the lease is :meth:`held`."""
        if not self.held():
            other = last_attempt(self.directory, self.trial_id) or "it has finished"
            raise LostLease(f"another process has taken this trial over ({other}); nothing more was written")

    def write(self, path: Path, content: str | bytes) -> None:
        """Write a file of the trial, atomically: a record, a checkpoint, an encoder.

        Args:
            path: the file.
            content: all of its content.

        Raises:
            LostLease: the lease is not held; nothing was written.
            DiskError: the disk refused the file.
        """
        # A successor may still come between the check and the write, since files have no compare-and-swap. That takes
        # STALE seconds of silence and then this very moment, and does little harm: files are replaced as a whole, and
        # the results of both follow from the same configuration and seed.
        self.check()
        write_atomically(path, content)

    def begin(self, step: int) -> None:
        """Note in the attempt's file that training continues from optimiser step ``step``."""
        attempt = read_attempt(self.path)
        if attempt is not None:
            self.check()
            # If the machine loses power, the step is not known: then the trial is not refused for want of progress.
            write_atomically(self.path, attempt.replace(step=step).model_dump_json(), synced=False)

    def is_fruitless(self, step: int) -> bool:
        """Return True if the job's last two attempts at the trial also began at ``step``.

        Another attempt would end in the same way.
        """
        job = job_id()
        if not job:
            return False
        folder = SweepDir(self.directory).begun(self.trial_id)
        earlier = sorted(number for number in numbers(folder) if number < self.number)
        last = [read_attempt(attempt_file(folder, number)) or Attempt(number=number) for number in earlier[-FRUITLESS:]]
        return len(last) == FRUITLESS and all(a.job == job and a.step == step for a in last)


@contextlib.contextmanager
def claim(directory: Path, trial_id: str) -> Iterator[Lease]:
    """Hold the trial until the end of the block, and give a sign of life every :data:`BEAT` seconds.

    Raises:
        TrialHeld: another process holds it.
        DiskError: the disk refused the file.
    """
    # A trial is entered in MINE only after it is taken: without the lock, a second thread that looks in between would
    # find an attempt of this process that nobody makes, and succeed it.
    with _claiming:
        lease = _take(directory, trial_id)
        mine = lease.path.resolve()  # the same directory may be named in several ways: relative, or through a link
        MINE.add(mine)
    over = threading.Event()
    # A thread, since training may spend minutes in one call, as when it compiles; a daemon, so that it keeps no
    # process alive.
    heart = threading.Thread(target=_beat, args=(lease.path, over), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        over.set()
        MINE.discard(mine)
        with contextlib.suppress(OSError):  # a full disk: the end of the process releases it too
            release(directory, trial_id, lease.number)


def handed_on(directory: Path, trial_id: str, number: int) -> Lease:
    """Return the lease of a process that the holder has started, and to which it handed on its attempt's number.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        number: the number of the holder's attempt.
    """
    return Lease(directory, trial_id, number)


def inherit(directory: Path, trial_id: str, attempt: Attempt | None) -> Lease:
    """Return the lease of an attempt that is over, to write the record of its trial.

    It makes no attempt of its own: attempts count how often the trial was tried, and records say that number. An
    attempt that another process has made meanwhile ends this lease, too.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        attempt: the trial's last attempt, which the caller knows to be over; None if there is none.
    """
    return Lease(directory, trial_id, attempt.number if attempt else 0)


def release(directory: Path, trial_id: str, number: int) -> None:
    """Mark attempt ``number`` as released by its holder; do nothing if it is not the last attempt.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        number: the attempt's number.
    """
    lease = Lease(directory, trial_id, number)
    if lease.held() and (attempt := read_attempt(lease.path)) is not None:
        write_atomically(lease.path, attempt.replace(released=True).model_dump_json())


_claiming = threading.Lock()  # one thread of this process at a time; against other processes only the hard link helps


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
    # The server's time, since it stamped the signs of life: with this host's clock two minutes fast, every holder on
    # another host would count as dead.
    if last and is_alive(directory, trial_id, last, server_time(folder)):
        raise TrialHeld(last)
    # Several processes may have seen the same holder dead. They all try for this number, and one of them gets it.
    number = last.number + 1 if last else 1
    attempt = Attempt(
        number=number,
        # Slurm's name of the node is the one that scontrol and sacct accept; a host may call itself something else.
        host=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        user=user_name(),
        machine=machine_id(),
        pid=os.getpid(),
        born=start_time(os.getpid()),
        job=job_id(),
        began=time.time(),
    )
    if not create(attempt_file(folder, number), attempt.model_dump_json()):
        raise TrialHeld(last_attempt(directory, trial_id) or attempt)
    return Lease(directory, trial_id, number)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT):
        # The time of a file that is there, rather than a new file: nothing to remove, and a successor that has removed
        # the folder does not find it made again.
        with contextlib.suppress(OSError):  # the lease was lost, or the file server hangs: see at the next beat
            os.utime(path)  # without a time of ours: the server takes its own clock
