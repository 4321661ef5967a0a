"""Run a trial in several processes: the worker starts them, watches them and makes sure that there is a record.

``python -m ablate.launch.ranks DIR TRIAL ATTEMPT DEVICE CACHE`` is one of them, in torchrun's environment. It ends at
once when its standard input ends, since then the process that started it is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from ablate.config.sweep import Trial
from ablate.data import read_entry
from ablate.distributed import GRACE, join, leave
from ablate.errors import DamagedRecord, DiskError, ExitCode, Interrupted, LostLease, LostNode, LostRank
from ablate.files import set_aside, tail
from ablate.launch.nodes import Crew, Order
from ablate.launch.pool import ending
from ablate.processes.children import end_with_parent
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease, handed_on
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.progress import logging_to, reporter
from ablate.sweep.record import Failure, TrialResult, failed_from_outside, read_record, write_record
from ablate.trial.context import Context
from ablate.trial.run import execute

POLL = 0.2
LOOK = 5.0  # seconds between looks at the lease


def run_ranks(
    trial: Trial,
    lease: Lease,
    device: torch.device,
    cache: Path,
    crew: Crew,
    should_stop: Callable[[], bool],
) -> TrialResult:
    """Run ``trial`` in as many processes as it asks for, and return its record.

    The processes are shared evenly among the crew's nodes; on a node, they use neighbouring GPUs from ``device`` on. If
    a process dies, the others are ended after a moment in which they write what happened.

    Args:
        trial: the trial.
        lease: the lease on it.
        device: the first device of this node.
        cache: where the decoded images are.
        crew: the nodes of the job.
        should_stop: returns True if the trial should stop.

    Raises:
        DiskError: the disk refused a write.
        Interrupted: ``should_stop`` returned True; all training so far is in the last checkpoint.
        LostLease: another process has taken the trial over.
        LostNode: the processes of another node are gone, which is not the trial's fault.
    """
    directory = lease.directory
    order = Order(trial_id=trial.id, number=lease.number, address=crew.address, port=_free_port())
    crew.give(order)
    ranks = start_ranks(order, trial.config.world_size, directory, device, cache, node=0, nodes=crew.nodes)
    first, codes = watch(ranks, should_stop, lease.held)
    log = SweepDir(directory).log(trial.id)
    if ExitCode.DISK in codes:
        raise DiskError(f"a process of {trial.label}; see {log}")
    try:
        result = read_record(SweepDir(directory).record(trial.id))
    except (FileNotFoundError, DamagedRecord):
        lease.check()
        if should_stop():  # they may have ended before they could stop in order
            raise Interrupted from None
        if crew.nodes > 1 and _nobody_died(codes):
            raise LostNode("the processes of this trial could not connect to those of the other nodes") from None
        return _record_death(trial, lease, first)
    if result.error is None or result.error.type != "LostRank":
        return result
    if should_stop():  # one process was not ready to stop in order, and the others failed without it
        set_aside(SweepDir(directory).record(trial.id), "lost")
        raise Interrupted
    if crew.nodes > 1 and _nobody_died(codes):  # these processes only noticed that others were gone
        set_aside(SweepDir(directory).record(trial.id), "lost")
        raise LostNode(result.error.message)
    if not first:
        return result
    error = result.error.replace(message=f"{first} ended; {result.error.message}")
    result = result.replace(error=error)
    write_record(lease, result)
    return result


def _nobody_died(codes: list[int | None]) -> bool:
    """Return True if every process of this node ended by its own decision, or had to be ended."""
    return set(codes) <= {ExitCode.DONE, ExitCode.FAILED, ExitCode.INTERRUPTED, None}


def start_ranks(
    order: Order, size: int, directory: Path, device: torch.device, cache: Path, node: int, nodes: int
) -> list[subprocess.Popen[bytes]]:
    """Start this node's share of a trial's processes.

    Args:
        order: the trial, the attempt and the address at which the processes meet.
        size: the number of processes on all nodes.
        directory: the sweep's directory.
        device: the first device of this node.
        cache: where the decoded images are.
        node: the number of this node.
        nodes: the number of nodes.
    """
    here = size // nodes
    return [_start(order, size, directory, device, cache, node * here + local, local) for local in range(here)]


def watch(
    ranks: list[subprocess.Popen[bytes]],
    should_stop: Callable[[], bool] = lambda: False,
    held: Callable[[], bool] = lambda: True,
) -> tuple[str, list[int | None]]:
    """Wait until all processes have ended; soon end the others when one fails or the lease is lost.

    Args:
        ranks: the processes.
        should_stop: returns True if they should stop.
        held: returns True while the lease is held.

    Returns:
        A description of the processes that failed first, and every exit code: None for a process that had to be killed.
    """
    asked, looked = False, time.monotonic()
    try:
        while any(rank.poll() is None for rank in ranks) and not _dead(ranks):
            time.sleep(POLL)
            if should_stop() and not asked:
                asked = True
                for rank in ranks:
                    rank.terminate()
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                if not held():
                    break
        first = _dead(ranks)
        deadline = time.monotonic() + (0 if _disk_trouble(ranks) or not held() else 2 * GRACE)
        while any(rank.poll() is None for rank in ranks) and time.monotonic() < deadline:
            time.sleep(POLL)
    finally:
        codes = [rank.poll() for rank in ranks]
        for rank in ranks:
            rank.kill()
            rank.communicate()
    return first, codes


def _start(
    order: Order, size: int, directory: Path, device: torch.device, cache: Path, rank: int, local: int
) -> subprocess.Popen[bytes]:
    where = f"cuda:{(device.index or 0) + local}" if device.type == "cuda" else str(device)
    address = {"MASTER_ADDR": order.address, "MASTER_PORT": str(order.port)}
    rank_of = {"RANK": str(rank), "LOCAL_RANK": str(local), "WORLD_SIZE": str(size)}
    what = [str(directory), order.trial_id, str(order.number), where, str(cache)]
    return subprocess.Popen(
        [sys.executable, "-m", "ablate.launch.ranks", *what],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        env={**os.environ, **address, **rank_of},
    )


def _disk_trouble(ranks: list[subprocess.Popen[bytes]]) -> bool:
    return any(rank.poll() == ExitCode.DISK for rank in ranks)


def _dead(ranks: list[subprocess.Popen[bytes]]) -> str:
    """Describe the processes that have failed: ``process 1 of 2 (signal SIGKILL)``; empty if none has."""
    codes = [rank.poll() for rank in ranks]
    dead = {rank: code for rank, code in enumerate(codes) if code and code != ExitCode.INTERRUPTED}
    return ", ".join(f"process {rank} of {len(codes)} ({ending(code)})" for rank, code in dead.items())


def _record_death(trial: Trial, lease: Lease, dead: str) -> TrialResult:
    failure = Failure(
        type="ProcessDied",
        message=f"no process of the trial left a record; the first to end: {dead or 'all of them, with exit code 0'}",
        traceback=tail(SweepDir(lease.directory).log(trial.id)),
    )
    result = failed_from_outside(trial, failure, lease.number)
    write_record(lease, result)
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def main(directory: Path, trial_id: str, number: int, device: torch.device, cache: Path) -> int:
    """Run one process of a trial.

    Args:
        directory: the sweep's directory.
        trial_id: the trial's id.
        number: the number of the attempt.
        device: the device of this process.
        cache: where the decoded images are.

    Returns:
        The exit code: 1 if the trial failed, 130 if it was asked to stop (SIGTERM) and stopped in order, or lost its
        lease, 74 if the disk refused a write.
    """
    asked: list[int] = []  # a list: an Event's lock must not be taken in a signal handler
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    end_with_parent()
    experiment = load_plan(directory)
    trial = next(trial for trial in plan(experiment) if trial.id == trial_id)
    on_first_node = os.environ["LOCAL_RANK"] == os.environ["RANK"]  # whose worker makes sure of a record
    context = Context(stop_requested=lambda: bool(asked), records_loss=on_first_node)
    lease = handed_on(directory, trial_id, number)
    data = read_entry(cache, experiment.shared.data.fingerprint)
    protocols, keep = experiment.protocols or None, experiment.keep_encoders
    try:
        world = join(device, experiment.rank_timeout, context.stop_requested)
        if world.rank == 0:
            context.report = reporter(directory, trial)
        level = logging.INFO if world.rank == 0 else logging.ERROR
        with logging_to(SweepDir(directory).log(trial.id), level):
            result = execute(trial, directory, data, device, lease, context, protocols, keep, world)
    except DiskError:
        traceback.print_exc()  # to the worker's log
        os._exit(ExitCode.DISK)
    except (Interrupted, LostLease):
        os._exit(ExitCode.INTERRUPTED)
    except LostRank:
        os._exit(ExitCode.FAILED)
    if result.status == "failed":
        os._exit(ExitCode.FAILED)  # an orderly exit would wait for processes that may be gone
    leave()
    return ExitCode.DONE


if __name__ == "__main__":
    where, trial_id, attempt, device, cache = sys.argv[1:]
    sys.exit(main(Path(where), trial_id, int(attempt), torch.device(device), Path(cache)))
