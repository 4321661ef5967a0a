"""What a trial will take on this machine, measured on a few steps in a worker's own environment.

``python -m ablate.sweep.estimate DIR DEVICE CACHE`` prints the seconds of one trial; :func:`trial_seconds` runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ablate.config import Experiment
from ablate.sweep.local import worker_environment
from ablate.sweep.plan import load_experiment, plan, save_experiment

STEPS = 3
CELLS = 6
EVALUATION_SHARE = 1.1  # kNN during training and linear evaluation at the end


def trial_seconds(experiment: Experiment, device: str, cache: Path) -> float:
    """Seconds per trial, the mean over up to six cells, with nothing else running; runs for some seconds."""
    with tempfile.TemporaryDirectory() as directory:
        save_experiment(Path(directory), experiment)
        command = [sys.executable, "-m", "ablate.sweep.estimate", directory, device, str(cache)]
        environment = worker_environment(experiment.shared.threads)
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(answer.stdout)


def _measure(directory: Path, device_name: str, cache: Path) -> float:
    import torch

    from ablate.data import read_entry
    from ablate.simclr.trainer import Trainer

    experiment = load_experiment(directory)
    torch.set_num_threads(experiment.shared.threads)
    data = read_entry(cache, experiment.shared.data.fingerprint)
    cells = [trial for trial in plan(experiment) if trial.reference is None and trial.seed == experiment.seeds[0]]
    chosen = cells[:: max(1, len(cells) // CELLS)][:CELLS]
    per_step = [_seconds_per_step(Trainer(t.config, t.seed, data, torch.device(device_name))) for t in chosen]
    steps = len(data.pretrain.labels) // experiment.shared.batch_size * experiment.shared.epochs
    return sum(per_step) / len(per_step) * steps * EVALUATION_SHARE


def _seconds_per_step(trainer) -> float:  # type: ignore[no-untyped-def]  # annotating it would import torch
    trainer.train_steps(STEPS)  # warm-up: first allocations, kernel selection
    started = time.perf_counter()
    trainer.train_steps(STEPS)
    return (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
