"""A worker: a process that lives across trials. It is given a directory and trial ids; all else is on disk.

``python -m ablate.sweep.worker DIR DEVICE CACHE`` reads one trial id per line on standard input, runs it, and answers
``done <id>`` on standard output; records, checkpoints, progress and logs go to the directory. End of input ends it, at
once if its launcher died in the middle of a trial (the checkpoint is on disk).
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from ablate.config import Trial
from ablate.data import DataSet, read_entry
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.workspace import log_path, write_progress
from ablate.trial import Context, execute

DISK_TROUBLE = 74  # EX_IOERR


def main(directory: Path, device: torch.device, cache: Path) -> int:
    """Serve trials until the input ends; exit code 74 when the disk refused a write."""
    inbox: queue.Queue[str | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(inbox, busy), daemon=True).start()
    experiment = load_experiment(directory)
    trials = {trial.id: trial for trial in plan(experiment)}
    data = read_entry(cache, experiment.shared.data.fingerprint)
    print("ready", flush=True)
    while (trial_id := inbox.get()) is not None:
        busy.set()
        try:
            _serve(trials[trial_id], directory, data, device)
        except OSError as error:
            traceback.print_exc()  # to the worker's log
            print(f"disk {error}", flush=True)
            return DISK_TROUBLE
        busy.clear()
        print(f"done {trial_id}", flush=True)
    return 0


def _listen(inbox: queue.Queue[str | None], busy: threading.Event) -> None:
    for line in sys.stdin:
        inbox.put(line.strip())
    if busy.is_set():
        os._exit(1)  # the launcher is gone: nobody waits for this trial
    inbox.put(None)


def _serve(trial: Trial, directory: Path, data: DataSet, device: torch.device) -> None:
    started = time.time()

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        write_progress(directory, trial, epoch, metrics, started)

    handler = _log_to(log_path(directory, trial.id))
    try:
        report(0, {})
        execute(trial, directory, data, device, Context(report=report))
    finally:
        logging.getLogger("ablate").removeHandler(handler)
        handler.close()


def _log_to(path: Path) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("ablate")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return handler


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), torch.device(sys.argv[2]), Path(sys.argv[3])))
