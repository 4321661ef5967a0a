"""A worker: a process that lives across trials. It is given a directory and trial ids; all else is on disk.

``python -m ablate.launch.worker DIR DEVICE CACHE`` reads one trial id per line on standard input, runs it, and answers
on standard output: ``done <id>``, or ``held <id>`` where somebody else is at work on it. Behind the id may stand the
epoch after which the trial is parked: that is ``done``, too. Records, checkpoints, progress
and logs go to the directory. SIGTERM ends it in order: its trial stops at the next step, with a checkpoint. The end of
input ends it, at once if its launcher died in the middle of a trial. What ops print goes to its log.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

from ablate.config.sweep import SweepPlan, Trial
from ablate.data import DataSet, read_entry
from ablate.launch.nodes import Crew
from ablate.launch.ranks import DISK_TROUBLE, run_ranks
from ablate.sweep.lease import Held, LostLease, claim, running_directory
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.progress import log_path, logging_to, reporter
from ablate.sweep.record import TrialResult, read_record, record_path
from ablate.trial.context import Context, Interrupted, Parked
from ablate.trial.run import execute

DEVICE_TROUBLE = 75  # EX_TEMPFAIL


def main(directory: Path, device: torch.device, cache: Path) -> int:
    """Serve trials until the input ends; exit code 74 when the disk refused a write, 75 after a CUDA error."""
    answers = own_stdout()
    inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy, asked = threading.Event(), list[int]()
    _end_in_order(asked, inbox)
    threading.Thread(target=_listen, args=(inbox, busy), daemon=True).start()
    experiment = load_plan(directory)
    trials = {trial.id: trial for trial in plan(experiment)}
    _check_hardware(device, {trial.config.precision for trial in trials.values()})
    data = read_entry(cache, experiment.shared.data.fingerprint)
    with Crew.of_this_job() as crew:
        place = _Place(directory, device, cache, experiment, data, lambda: bool(asked), crew)
        print("ready", file=answers, flush=True)
        while (line := inbox.get()) is not None and not asked:
            trial_id, _, until = line.partition(" ")
            result = None
            try:
                result = place.run(trials[trial_id], int(until) if until else None)
            except Parked:
                pass
            except OSError as error:
                traceback.print_exc()  # to the worker's log
                print(f"disk {error}", file=answers, flush=True)
                return DISK_TROUBLE
            except (Held, LostLease) as error:
                print(f"{trial_id}: {error}", file=sys.stderr, flush=True)
                busy.clear()
                print(f"held {trial_id}", file=answers, flush=True)
                continue
            except Interrupted:
                return 0
            busy.clear()
            print(f"done {trial_id}", file=answers, flush=True)
            if result and result.error and "CUDA error" in result.error.message and result.config.world_size == 1:
                return DEVICE_TROUBLE  # such an error stays with the process: the launcher starts another
    return 0


def _check_hardware(device: torch.device, precisions: set[str]) -> None:
    """End the worker, rather than every trial, on a machine that is not what the sweep was planned for."""
    if device.type != "cuda":
        return
    if not torch.cuda.is_available():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        sys.exit(f"torch sees no GPU on this machine (CUDA_VISIBLE_DEVICES: {seen})")
    if "bfloat16" in precisions and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        sys.exit(f"the sweep is in bfloat16, and this machine's {name} has none; exclude such nodes (--constraint)")


def own_stdout() -> TextIO:
    """The process's standard output for the protocol alone; what anything else prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _end_in_order(asked: list[int], inbox: queue.SimpleQueue[str | None]) -> None:
    def ask(number: int, frame: object) -> None:
        asked.append(number)  # an Event's lock must not be taken here: a second signal would wait for it for ever
        inbox.put(None)  # wakes a worker that waits for a trial

    signal.signal(signal.SIGTERM, ask)


def _listen(inbox: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    questions = os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # no lock to be in the way of ending
    for line in questions:
        busy.set()
        inbox.put(line.decode().strip())
    if busy.is_set():
        os._exit(1)  # the launcher is gone: nobody waits for this trial
    inbox.put(None)


@dataclass(frozen=True)
class _Place:
    """Where trials are run, and what is the same for all of them."""

    directory: Path
    device: torch.device
    cache: Path
    experiment: SweepPlan
    data: DataSet
    should_stop: Callable[[], bool]
    crew: Crew

    def run(self, trial: Trial, until: int | None) -> TrialResult:
        path = record_path(self.directory, trial.id)
        with logging_to(log_path(self.directory, trial.id)), claim(self.directory, trial.id) as lease:
            if path.exists():  # somebody else has finished it since it was handed out
                shutil.rmtree(running_directory(self.directory, trial.id), ignore_errors=True)
                return read_record(path)
            report = reporter(self.directory, trial)
            report(0, {})
            if trial.config.world_size > 1:
                return run_ranks(trial, lease, self.device, self.cache, self.crew, self.should_stop)
            return execute(
                trial,
                self.directory,
                self.data,
                self.device,
                lease,
                Context(report=report, stop_requested=self.should_stop, until=until),
                self.experiment.protocols or None,
                self.experiment.keep_encoders,
            )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), torch.device(sys.argv[2]), Path(sys.argv[3])))
