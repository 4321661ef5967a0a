"""A training step of every objective beside SimCLR's: images per second, and the memory at its peak.

``python -m benchmarks.objectives``; some minutes on one core of a machine that does nothing else. The preset of a
machine without a GPU (ResNet-8 of width 16, 32 px, batch 64), crop and color on two branches, one thread. Rates are
source images per second of processor time. Memory is what a process of its own adds in two steps, resident, in MiB.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch

from ablate.config.experiment import Experiment
from ablate.config.objectives import KINDS
from ablate.config.trial import TrialConfig
from ablate.ops.composition import Composition
from ablate.planning.settings import shared_config
from ablate.training.trainer import Trainer
from benchmarks.harness import measure, save
from benchmarks.memory import in_process, noise, peak_of

CPU = torch.device("cpu")
IMAGES, STEPS = 640, 10


def config_of(objective: str) -> TrialConfig:
    wish = Experiment(
        preset="laptop@2",
        device="cpu",
        branches="two",
        compositions=["crop+color"],
        set={"objective": objective, "image_size": 32},
    )
    specs = Composition.parse("crop+color").specs()
    return shared_config(wish, noise(IMAGES).identity).replace(composition=specs)


def steps_of(objective: str) -> Callable[[], object]:
    trainer = Trainer(config_of(objective), 0, noise(IMAGES), CPU)
    return lambda: trainer.train_steps(STEPS)


def memory(objective: str) -> dict[str, float]:
    trainer = Trainer(config_of(objective), 0, noise(IMAGES), CPU)
    return peak_of(lambda: trainer.train_steps(2))


def main() -> None:
    rates = measure({name: steps_of(name) for name in KINDS}, STEPS * config_of("simclr").batch_size)
    rows = {name: row | in_process(name, module="benchmarks.objectives") for name, row in rates.items()}
    save("objectives", rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(memory(sys.argv[1])))
    else:
        main()
