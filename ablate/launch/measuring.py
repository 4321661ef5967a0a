"""The process that measures steps: ``python -m ablate.launch.measuring DIR DEVICE CACHE SECONDS``.

It prints what :func:`ablate.launch.timing.from_steps` reads: small steps first, then larger ones and further cells
while time is left. It may not take more than half of the free memory, so that it cannot bring the machine down.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ablate.config.experiment import Experiment
from ablate.config.presets import LAPTOP
from ablate.config.sweep import SweepPlan, Trial
from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Images, Split, read_entry
from ablate.launch.oom import limit_own
from ablate.launch.steps import chosen_cells, measure
from ablate.launch.timing import costly, from_steps, trial_seconds
from ablate.ops.pair import TransformPair
from ablate.planning.settings import shared_config
from ablate.processes.children import own_stdout
from ablate.sweep.plan import load_plan
from ablate.training.trainer import Trainer

MARGIN = 1.0  # seconds before the end after which no step is begun
LONG = 1800.0  # seconds; for a longer trial, the preset for laptops is measured too


class _Bench:
    """A bench that takes steps of single cells; cells that differ only in their composition share a trainer."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.trainers: dict[TrialConfig, Trainer] = {}

    def build(self, cell: Trial, data: DataSet) -> None:
        """Make the trainer of ``cell``, which all cells of the same configuration share."""
        # The time of a step does not depend on the weights. Compiling would take longer than there is time to measure.
        drawn = cell.config.encoder.replace(init="")
        alone = cell.config.replace(micro_batch=None, world_size=1, encoder=drawn, compile=False)
        self.trainers[costly(cell.config)] = Trainer(alone, cell.seed, data, self.device)

    def step(self, cell: Trial, images: int) -> float:
        """Take one step of ``cell`` with ``images`` images, and return its seconds."""
        trainer = self.trainers[costly(cell.config)]
        trainer.step.pair = TransformPair.from_config(cell.config.replace(compile=False))
        self._wait()
        begun = time.perf_counter()
        trainer.train_steps(1, images)
        self._wait()
        return time.perf_counter() - begun

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _main(directory: Path, device: torch.device, cache: Path, box: float) -> None:
    answers = own_stdout()
    said: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        said.append(line)
        print(json.dumps(line), file=answers, flush=True)

    def clock() -> float:
        return time.monotonic() - ready

    experiment = load_plan(directory)
    torch.set_num_threads(experiment.shared.threads)
    data = read_entry(cache, experiment.shared.data.fingerprint)
    limit_own()
    bench, cells = _Bench(device), chosen_cells(experiment)
    _warm_up(cells[0].config.replace(compile=False))
    ready = time.monotonic()
    tell({"ready": True})
    measure(
        cells,
        lambda cell: bench.build(cells[cell], data),
        lambda cell, images: bench.step(cells[cell], images),
        tell,
        clock,
        box - MARGIN,
    )
    images = len(data.pretrain.labels)
    seconds = from_steps(cells, said, images, len(cells)).seconds
    if device.type == "cpu" and seconds and seconds > LONG:
        config = _laptop(experiment)
        first = cells[0].config
        small = cells[0].replace(config=config.replace(composition=first.composition, second=first.second))
        bench.build(small, _noise(config))
        step = [bench.step(small, config.batch_size) for _ in range(2)][-1]
        tell({"laptop": trial_seconds(config, step, images)})


def _warm_up(config: TrialConfig) -> None:
    """Load what the first step would load: the kernels of a cell's ops."""
    TransformPair.from_config(config)(
        torch.zeros(2, config.data.channels, 16, 16, dtype=torch.uint8), torch.Generator()
    )


def _laptop(experiment: SweepPlan) -> TrialConfig:
    shared = experiment.shared
    wish = Experiment(
        data=experiment.data, branches=shared.branches, device="cpu", preset=LAPTOP.name, compositions=["none"]
    )
    return shared_config(wish, shared.data)


def _noise(config: TrialConfig) -> DataSet:
    count, size = config.batch_size, config.image_size
    pixels = torch.randint(0, 256, (count, config.data.channels, size, size), dtype=torch.uint8)
    labels = torch.zeros(count, dtype=torch.long)
    split = Split(Images(pixels), labels, torch.arange(count))
    return DataSet("noise", "", ("a", "b"), split, split, torch.zeros(count, dtype=torch.bool), split)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), torch.device(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
