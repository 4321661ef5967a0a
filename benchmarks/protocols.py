"""What each protocol costs beside the training of the encoder that it evaluates, in processor time of one thread.

``ablate train crop+color --data folder:cifar10 --limit 5000 --preset laptop@2 --cache CACHE --out DIR``, then
``python -m benchmarks.protocols DIR CACHE``. The cost of training is that of 20 steps before the protocols are timed
and 20 steps afterwards, scaled to all of them. Each protocol encodes the images anew; in a trial, they share features.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ablate.config.protocols import NAMES
from ablate.data import read_entry
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.protocols import evaluate
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import read_record
from ablate.training.trainer import Trainer
from ablate.trial import encoders
from benchmarks.harness import save

CPU = torch.device("cpu")
STEPS = 20


def costs(directory: Path, cache: Path) -> dict[str, object]:
    """The settings of the trial, and by protocol its metrics, its seconds and their ratio to those of training."""
    name = encoders.kept(directory)[0]
    record = read_record(SweepDir(directory).record(name))
    config, data = record.config, read_entry(cache, record.config.data.fingerprint)
    trainer = Trainer(config, record.seed, data, CPU)
    train = partial(trainer.train_steps, STEPS)
    train()  # loads and compiles what the first steps need
    before, timed = _timed(train)[0], {}
    for spec in NAMES:
        if spec != "online":  # its cost is part of training
            frozen = Frozen(*encoders.rebuild(directory, name, config), config, record.seed, data, CPU)
            timed[spec] = _timed(partial(evaluate, frozen, [spec]))
    each = (before + _timed(train)[0]) / (2 * STEPS)
    training = each * config.epochs * trainer.steps_per_epoch
    settings = {"encoder": config.encoder.name, "epochs": config.epochs, "images": len(data.pretrain.labels)}
    settings |= {"test": len(data.test.labels), "size": config.image_size, "data": data.name, "training": training}
    rows = {spec: {"seconds": s, "ratio": s / training, **found.metrics} for spec, (s, found) in timed.items()}
    return {"settings": settings, "protocols": rows}


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


if __name__ == "__main__":
    torch.set_num_threads(1)
    save("protocols", costs(Path(sys.argv[1]), Path(sys.argv[2])))
