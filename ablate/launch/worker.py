"""Run a worker: a process that serves trial after trial. It is given a directory and trial ids; all else is on disk.

``python -m ablate.launch.worker DIR DEVICE CACHE`` reads one trial id per line on standard input, runs the trial, and
answers on standard output: ``done <id>``, or ``held <id>`` if another process holds it. The id may be followed by the
epoch after which the trial is parked; the answer is then ``done``, too. Records, checkpoints, progress and logs go to
the directory. SIGTERM ends the worker in order: its trial stops at the next step, with a checkpoint. The end of input
ends it too, at once if its launcher died in the middle of a trial. The output of ops goes to the worker's log.
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

import torch

from ablate.compiled import keep_code
from ablate.config.sweep import SweepPlan, Trial
from ablate.data import DataSet, read_entry
from ablate.errors import ExitCode, Interrupted, LostLease, Parked, TrialHeld
from ablate.launch.nodes import Crew
from ablate.launch.ranks import run_ranks
from ablate.processes.children import lines_of_parent, own_stdout
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.progress import logging_to, reporter
from ablate.sweep.record import TrialResult, read_record
from ablate.trial.context import Context
from ablate.trial.run import execute


def main(directory: Path, device: torch.device, cache: Path) -> int:
    """Serve trials until the input ends.

    Args:
        directory: the sweep's directory.
        device: the device to train on.
        cache: where the decoded images are.

    Returns:
        The exit code: 74 if the disk refused a write, 75 after a CUDA error.
    """
    answers = own_stdout()
    inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy, asked = threading.Event(), list[int]()
    _end_in_order(asked, inbox)
    threading.Thread(target=_listen, args=(inbox, busy), daemon=True).start()
    experiment = load_plan(directory)
    trials = {trial.id: trial for trial in plan(experiment)}
    _check_hardware(device, {trial.config.precision for trial in trials.values()})
    if any(trial.config.compile for trial in trials.values()):
        keep_code(cache, experiment.shared.threads)
    data = read_entry(cache, experiment.shared.data.fingerprint)
    with Crew.of_this_job() as crew:
        runner = _Runner(directory, device, cache, experiment, data, lambda: bool(asked), crew)
        print("ready", file=answers, flush=True)
        while (line := inbox.get()) is not None and not asked:
            trial_id, _, until = line.partition(" ")
            result = None
            try:
                result = runner.run(trials[trial_id], int(until) if until else None)
            except Parked:
                pass
            except OSError as error:
                traceback.print_exc()  # to the worker's log
                print(f"disk {error}", file=answers, flush=True)
                return ExitCode.DISK
            except (TrialHeld, LostLease) as error:
                print(f"{trial_id}: {error}", file=sys.stderr, flush=True)
                busy.clear()
                print(f"held {trial_id}", file=answers, flush=True)
                continue
            except Interrupted:
                return ExitCode.DONE
            busy.clear()
            print(f"done {trial_id}", file=answers, flush=True)
            if result and result.error and "CUDA error" in result.error.message and result.config.world_size == 1:
                return ExitCode.DEVICE  # a CUDA error persists in the process: the launcher starts another worker
    return ExitCode.DONE


def _check_hardware(device: torch.device, precisions: set[str]) -> None:
    """End the worker, instead of failing every trial, on a machine that the sweep was not planned for."""
    if device.type != "cuda":
        return
    if not torch.cuda.is_available():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        sys.exit(f"torch sees no GPU on this machine (CUDA_VISIBLE_DEVICES: {seen})")
    if "bfloat16" in precisions and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        sys.exit(f"the sweep trains in bfloat16, which this machine's {name} lacks; exclude such nodes (--constraint)")


def _end_in_order(asked: list[int], inbox: queue.SimpleQueue[str | None]) -> None:
    def ask(number: int, frame: object) -> None:
        asked.append(number)  # not an Event, whose lock a second signal would wait for without end
        inbox.put(None)  # wakes a worker that waits for a trial

    signal.signal(signal.SIGTERM, ask)


def _listen(inbox: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    for line in lines_of_parent():
        busy.set()
        inbox.put(line)
    if busy.is_set():
        os._exit(ExitCode.FAILED)  # the launcher is gone: no process waits for this trial
    inbox.put(None)


@dataclass(frozen=True)
class _Runner:
    """The directory and the device of trials, and what they all share."""

    directory: Path
    device: torch.device
    cache: Path
    experiment: SweepPlan
    data: DataSet
    should_stop: Callable[[], bool]
    crew: Crew

    def run(self, trial: Trial, until: int | None) -> TrialResult:
        path = SweepDir(self.directory).record(trial.id)
        with logging_to(SweepDir(self.directory).log(trial.id)), claim(self.directory, trial.id) as lease:
            if path.exists():  # another process has finished it since it was handed out
                shutil.rmtree(SweepDir(self.directory).begun(trial.id), ignore_errors=True)
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
