"""Who is at work on a trial: leases that hold across hosts and on NFS, by files alone. Needs no torch.

Every attempt at a trial is a file, ``DIR/running/<id>/attempt-<n>.json``; whoever creates number n + 1 (exclusively) has
the trial, and everybody before has lost it. A holder touches its file every :data:`BEAT` seconds; one whose process is
gone, or whose file has not been touched for :data:`STALE` seconds by the file server's own clock, may be succeeded. A
holder that was believed dead and is not (a node cut off, a daemon killed alone) finds a higher number than its own and
must write nothing more.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ablate.config import Model
from ablate.results import DiskTrouble, write_atomically

BEAT = 20.0  # seconds between signs of life
STALE = 120.0  # seconds without one after which a holder on another machine counts as dead


class Attempt(Model):
    """One attempt at a trial, as its file says.

    ``machine`` and ``born`` identify the process ``pid`` beyond doubt (boot and pid namespace; start time in clock ticks
    after boot); ``host`` is for people. ``job`` is Slurm's id of it, ``""`` outside Slurm. ``step``: optimiser steps
    that were done when it began. ``released``: the holder has left the trial in order.
    """

    number: int
    host: str
    user: str
    machine: str
    pid: int
    born: int
    job: str = ""
    restart: int = 0
    step: int = 0
    began: float = 0.0
    released: bool = False


class Held(Exception):
    """Somebody else is at work on the trial; ``holder`` says who."""

    def __init__(self, holder: Attempt) -> None:
        super().__init__(f"at work elsewhere: {where(holder)}")
        self.holder = holder


class LostLease(RuntimeError):
    """Another process has taken the trial over: this one must write nothing more."""
