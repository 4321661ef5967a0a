"""A trial of several processes: the worker starts them, watches them and sees to it that there is a record.

``python -m ablate.sweep.ranks DIR TRIAL DEVICE CACHE`` is one of them, in torchrun's environment. It ends at once when
its standard input does: the worker that started it is gone.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import torch

from ablate.config import Trial
from ablate.data import read_entry
from ablate.distributed import GRACE, join, leave
from ablate.results import (
    BadRecord,
    DiskTrouble,
    Failure,
    TrialResult,
    failed_from_outside,
    read_record,
    record_path,
    write_record,
)
from ablate.sweep.local import ending, tail
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.workspace import log_path, logging_to, reporter
from ablate.trial import Context, execute

POLL = 0.2
DISK_TROUBLE = 74  # EX_IOERR: the exit code of a process that could not write


def run_ranks(trial: Trial, directory: Path, device: torch.device, cache: Path) -> TrialResult:
    """Run ``trial`` in as many processes as it says, on neighbouring GPUs from ``device`` on; its record.

    A process that dies takes the others with it, after a moment in which they write what happened.

    Raises:
        DiskTrouble: the disk refused a write.
    """
    size, port = trial.config.world_size, _free_port()
    ranks = [_start(trial, directory, device, cache, rank, size, port) for rank in range(size)]
    try:
        while any(rank.poll() is None for rank in ranks) and not any(rank.poll() for rank in ranks):
            time.sleep(POLL)
        first = _dead(ranks)
        deadline = time.monotonic() + (0 if _disk_trouble(ranks) else 2 * GRACE)
        while any(rank.poll() is None for rank in ranks) and time.monotonic() < deadline:
            time.sleep(POLL)
    finally:
        codes = [rank.poll() for rank in ranks]
        for rank in ranks:
            rank.kill()
            rank.communicate()
    if DISK_TROUBLE in codes:
        raise DiskTrouble(f"a process of {trial.label}; see {log_path(directory, trial.id)}")
    try:
        result = read_record(record_path(directory, trial.id))
    except (FileNotFoundError, BadRecord):
        return _record_death(trial, directory, first)
    if result.error is None or result.error.type != "LostRank" or not first:
        return result
    error = result.error.model_copy(update={"message": f"{first} ended; {result.error.message}"})
    result = result.model_copy(update={"error": error})
    write_record(directory, result)
    return result


def _start(
    trial: Trial, directory: Path, device: torch.device, cache: Path, rank: int, size: int, port: int
) -> subprocess.Popen[bytes]:
    where = f"cuda:{(device.index or 0) + rank}" if device.type == "cuda" else str(device)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    return subprocess.Popen(
        [sys.executable, "-m", "ablate.sweep.ranks", str(directory), trial.id, where, str(cache)],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        env={**os.environ, **address, **place},
    )


def _disk_trouble(ranks: list[subprocess.Popen[bytes]]) -> bool:
    return any(rank.poll() == DISK_TROUBLE for rank in ranks)


def _dead(ranks: list[subprocess.Popen[bytes]]) -> str:
    """Which processes have failed, and how: ``process 1 of 2 (signal SIGKILL)``; empty where none has."""
    codes = [rank.poll() for rank in ranks]
    return ", ".join(f"process {rank} of {len(codes)} ({ending(code)})" for rank, code in enumerate(codes) if code)


def _record_death(trial: Trial, directory: Path, dead: str) -> TrialResult:
    failure = Failure(
        type="ProcessDied",
        message=f"no process of the trial left a record; first to end: {dead or 'all of them, with exit code 0'}",
        traceback=tail(log_path(directory, trial.id)),
    )
    result = failed_from_outside(trial, failure, attempts=1)
    write_record(directory, result)
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(directory: Path, trial_id: str, device: torch.device, cache: Path) -> int:
    """One process of a trial; 1 if it failed."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    experiment = load_experiment(directory)
    trial = next(trial for trial in plan(experiment) if trial.id == trial_id)
    world = join(device, experiment.rank_timeout)
    context = Context(report=reporter(directory, trial)) if world.rank == 0 else Context()
    level = logging.INFO if world.rank == 0 else logging.ERROR
    data = read_entry(cache, experiment.shared.data.fingerprint)
    protocols, keep = experiment.protocols or None, experiment.keep_encoders
    try:
        with logging_to(log_path(directory, trial.id), level):
            result = execute(trial, directory, data, device, context, protocols, keep, world)
    except DiskTrouble:
        traceback.print_exc()  # to the worker's log
        os._exit(DISK_TROUBLE)
    if result.status == "failed":
        os._exit(1)  # leaving in order would wait for processes that may be gone
    leave()
    return 0


def _follow_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], torch.device(sys.argv[3]), Path(sys.argv[4])))
