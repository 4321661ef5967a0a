"""What a trial will take on this machine, measured on a few steps in a worker's own environment.

``python -m ablate.sweep.estimate DIR DEVICE CACHE`` prints the seconds of one trial; :func:`trial_seconds` runs it.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE

from ablate.config import Experiment
from ablate.errors import UsageError
from ablate.sweep.local import worker_environment
from ablate.sweep.plan import load_experiment, plan, save_experiment

STEPS = 3
CELLS = 6
EVALUATION_SHARE = 1.1  # kNN during training and linear evaluation at the end


def trial_seconds(experiment: Experiment, devices: Sequence[str], cache: Path) -> float:
    """Seconds per trial, the mean over up to six cells, with every worker's device at work; runs for some seconds.

    Several processes per trial are taken to share the work of one evenly: what they say to each other is not measured.

    Raises:
        UsageError: the measurement failed; the message ends with its last words.
    """
    with tempfile.TemporaryDirectory() as directory:
        save_experiment(Path(directory), experiment)
        environment = worker_environment(experiment.shared.threads)
        command = [sys.executable, "-m", "ablate.sweep.estimate", directory]
        processes = [
            subprocess.Popen([*command, device, str(cache)], env=environment, stdout=PIPE, stderr=PIPE, text=True)
            for device in devices
        ]
        answers = [(process, *process.communicate()) for process in processes]
    for process, _, errors in answers:
        if process.returncode:
            raise UsageError(f"measuring a trial failed: {(errors.strip().splitlines() or ['no reason given'])[-1]}")
    return statistics.fmean(float(answer) for _, answer, _ in answers)


def _measure(directory: Path, device_name: str, cache: Path) -> float:
    import torch

    from ablate.data import read_entry
    from ablate.simclr.trainer import Trainer

    experiment = load_experiment(directory)
    torch.set_num_threads(experiment.shared.threads)
    data = read_entry(cache, experiment.shared.data.fingerprint)
    cells = [trial for trial in plan(experiment) if trial.reference is None and trial.seed == experiment.seeds[0]]
    chosen = random.Random(0).sample(cells, min(CELLS, len(cells)))  # single ops and pairs as they come
    seconds = [
        _seconds_per_step(Trainer(t.config, t.seed, data, torch.device(device_name)))
        * (len(data.pretrain.labels) // t.config.batch_size * t.config.epochs)
        for t in chosen
    ]
    return statistics.fmean(seconds) * EVALUATION_SHARE / experiment.shared.world_size


def _seconds_per_step(trainer) -> float:  # type: ignore[no-untyped-def]  # annotating it would import torch
    trainer.train_steps(STEPS)  # warm-up: first allocations, kernel selection
    started = time.perf_counter()
    trainer.train_steps(STEPS)
    return (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    from ablate.sweep.worker import own_stdout

    answers = own_stdout()
    print(_measure(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])), file=answers)
