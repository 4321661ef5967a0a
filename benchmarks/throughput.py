"""Trials per hour of the demo grid on this machine, and a step of several trials stacked in one process.

``python -m benchmarks.throughput``; about ten minutes on two cores. The grid is crop, colour and blur on glyphs with
3 of its 12 epochs, from the command to its report: one worker with all threads, against one worker per core. Stacked:
the weights of k trials as one batch (torch.func.vmap over ``functional_call``, batch norms without running averages,
and channels_last, which vmap cannot keep), against k trainers' steps one after the other; images per second of
processor time, one thread, without augmentation.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, replace_all_batch_norm_modules_, stack_module_state, vmap

from ablate.config.experiment import Experiment
from ablate.config.trial import TrialConfig
from ablate.data import cache_dir, prepare
from ablate.distributed import ALONE
from ablate.planning.settings import shared_config
from ablate.training.loss import nt_xent_with_top1
from ablate.training.trainer import build_model
from benchmarks.harness import measure, save

GRID = ("grid", "--ops", "crop,color,blur", "--epochs", "3", "--compile", "off")
STACKED = (1, 2, 4)


def grids() -> dict[str, dict[str, float]]:
    cores = os.cpu_count() or 1
    ways = {
        f"one worker, {cores} threads": ("--workers", "1", "--set", f"threads={cores}"),
        f"{cores} workers, one thread": ("--workers", str(cores)),
    }
    return {name: grid(*flags) for name, flags in ways.items()}


def grid(*flags: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        line = [sys.executable, "-m", "ablate", *GRID, *flags, "--out", out]
        subprocess.run(line, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        trials = len([path for path in Path(out, "trials").iterdir() if re.fullmatch(r".*\.json", path.name)])
    return {"trials": trials, "seconds": seconds, "trials/h": 3600 * trials / seconds}


def steps(config: TrialConfig, k: int) -> dict[str, Callable[[], object]]:
    """Forward, backward and update of ``k`` encoders with heads, each on views of its own."""
    models = [Joined(build_model(config, seed, 2)) for seed in range(k)]
    views = torch.rand(k, 2 * config.batch_size, 3, config.image_size, config.image_size)
    apart = [Alone(model, config) for model in models]

    def one_after_the_other() -> None:
        for step, own in zip(apart, views, strict=True):
            step(own)

    return {f"{k} apart": one_after_the_other, f"{k} stacked": Stacked(models, views, config)}


class Joined(nn.Module):
    """``z = g(f(x))``."""

    def __init__(self, model: nn.ModuleDict) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: Tensor) -> Tensor:
        z: Tensor = self.model["head"](self.model["encoder"](views))
        return z


class Alone:
    """A step of one trial."""

    def __init__(self, model: nn.Module, config: TrialConfig) -> None:
        self.model, self.temperature = model.to(memory_format=torch.channels_last), config.temperature
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def __call__(self, views: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        nt_xent_with_top1(self.model(views.contiguous(memory_format=torch.channels_last)), self.temperature, ALONE)[
            0
        ].backward()
        self.optimiser.step()


class Stacked:
    """A step of several trials at once."""

    def __init__(self, models: list[Joined], views: Tensor, config: TrialConfig) -> None:
        self.base = replace_all_batch_norm_modules_(Joined(build_model(config, 0, 2)))
        for model in models:
            replace_all_batch_norm_modules_(model)
        parameters, self.buffers = stack_module_state(models)
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        self.views, self.temperature = views, config.temperature
        self.optimiser = torch.optim.AdamW(self.parameters.values(), lr=1e-3, fused=True)

    def loss(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], views: Tensor) -> Tensor:
        z = functional_call(self.base, (parameters, buffers), (views,))
        return nt_xent_with_top1(z, self.temperature, ALONE)[0]

    def __call__(self) -> None:
        detached = {name: value.detach() for name, value in self.parameters.items()}
        gradients, _ = vmap(grad_and_value(self.loss))(detached, self.buffers, self.views)
        for name, value in self.parameters.items():
            value.grad = gradients[name]
        self.optimiser.step()


def main(cache: Path) -> None:
    data = prepare("glyphs", cache=cache, image_size=32)
    config = shared_config(Experiment(device="cpu", compositions=["none"]), data.identity)
    rows: dict[str, object] = {"grid": grids()}
    for k in STACKED:
        rows[f"{k} stacked"] = measure(steps(config, k), k * config.batch_size)
    save("throughput", rows)


if __name__ == "__main__":
    main(cache_dir(None))
