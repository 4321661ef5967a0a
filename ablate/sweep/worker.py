"""A worker: a process that lives across trials. It is given a directory and trial ids; all else is on disk.

``python -m ablate.sweep.worker DIR DEVICE CACHE`` reads one trial id per line on standard input, runs it, and answers
``done <id>`` on standard output; records, checkpoints, progress and logs go to the directory. End of input ends it, at
once if its launcher died in the middle of a trial (the checkpoint is on disk). What ops print goes to its log.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

import torch

from ablate.config import Trial
from ablate.data import DataSet, read_entry
from ablate.results import TrialResult
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.workspace import log_path, logging_to, write_progress
from ablate.trial import Context, execute

DISK_TROUBLE = 74  # EX_IOERR
DEVICE_TROUBLE = 75  # EX_TEMPFAIL


def main(directory: Path, device: torch.device, cache: Path) -> int:
    """Serve trials until the input ends; exit code 74 when the disk refused a write, 75 after a CUDA error."""
    answers = own_stdout()
    inbox: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(inbox, busy), daemon=True).start()
    experiment = load_experiment(directory)
    trials = {trial.id: trial for trial in plan(experiment)}
    data = read_entry(cache, experiment.shared.data.fingerprint)
    print("ready", file=answers, flush=True)
    while (trial_id := inbox.get()) is not None:
        try:
            result = _serve(trials[trial_id], directory, data, device)
        except OSError as error:
            traceback.print_exc()  # to the worker's log
            print(f"disk {error}", file=answers, flush=True)
            return DISK_TROUBLE
        busy.clear()
        print(f"done {trial_id}", file=answers, flush=True)
        if result.error and "CUDA error" in result.error.message:
            return DEVICE_TROUBLE  # such an error stays with the process: the launcher starts another
    return 0


def own_stdout() -> TextIO:
    """The process's standard output for the protocol alone; what anything else prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _listen(inbox: queue.Queue[str | None], busy: threading.Event) -> None:
    for line in sys.stdin:
        busy.set()
        inbox.put(line.strip())
    if busy.is_set():
        os._exit(1)  # the launcher is gone: nobody waits for this trial
    inbox.put(None)


def _serve(trial: Trial, directory: Path, data: DataSet, device: torch.device) -> TrialResult:
    started, notices = time.time(), dict[str, Any]()

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        notices.update({name: value for name, value in metrics.items() if isinstance(value, str)})
        write_progress(directory, trial, epoch, metrics | notices, started)

    with logging_to(log_path(directory, trial.id)):
        report(0, {})
        return execute(trial, directory, data, device, Context(report=report))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), torch.device(sys.argv[2]), Path(sys.argv[3])))
