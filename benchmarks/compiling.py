"""When ``--compile on`` pays on a CPU: what a start costs with and without kept code, and steps eager and compiled.

``python -m benchmarks.compiling``; four minutes of one core. ResNet-8 of width 16 at 32 px, one thread, the allocator
of a worker. Start: from a process that has loaded torch to the end of its first step, at batch 64, and the same for a
second cell with other ops and another seed; seconds of processor time, the C++ compiler's included. Steps: images per
second of processor time, crop, colour and blur in both branches, eager and compiled in turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

import torch

from ablate.compiled import PLACE
from ablate.config.encoder import Encoder
from ablate.config.trial import Head, TrialConfig
from ablate.launch.pool import worker_environment
from ablate.ops.composition import Composition
from ablate.training.trainer import Trainer
from benchmarks.harness import measure, save
from benchmarks.memory import noise

CELLS = ("crop+color", "blur+crop")
STARTS = {"eager": 1, "compiled, nothing kept": 1, "compiled, code kept": 2}  # processes
STEPS = {64: 8, 128: 4, 256: 2}
"""By batch size, the steps per round."""


def steps_of(batch: int, steps: int, composition: str, *, compile: bool, seed: int = 0) -> Callable[[], object]:
    data = noise(batch * steps)
    config = TrialConfig(
        composition=Composition.parse(composition).specs(),
        branches="two",
        base=None,
        data=data.identity,
        encoder=Encoder(name="resnet8", width=16),
        head=Head(),
        batch_size=batch,
        compile=compile,
    )
    trainer = Trainer(config, seed, data, torch.device("cpu"))
    return lambda: trainer.train_steps(steps)


def start(*, compile: bool) -> list[float]:
    """Seconds of processor time of each cell's first step."""
    torch.set_num_threads(1)
    taken = []
    for seed, composition in enumerate(CELLS):
        before = processor_seconds()
        steps_of(64, 1, composition, compile=compile, seed=seed)()
        taken.append(processor_seconds() - before)
    return taken


def processor_seconds() -> float:
    return sum(os.times()[:4])  # of this process, and of children that have ended


def starts(place: str) -> dict[str, object]:
    rows = {}
    for name, rounds in STARTS.items():
        mode = "off" if name == "eager" else "on"
        taken = [in_process("start", mode, place=place) for _ in range(rounds)]
        rows[name] = dict(zip(CELLS, map(statistics.median, zip(*taken, strict=True)), strict=True))
    return rows


def steps(batch: int, count: int) -> dict[str, dict[str, float]]:
    contenders = {
        name: steps_of(batch, count, "crop+color+blur", compile=name == "compiled") for name in ("eager", "compiled")
    }
    return measure(contenders, batch * count)


def in_process(*arguments: object, place: str) -> object:
    line = [sys.executable, "-m", "benchmarks.compiling", *map(str, arguments)]
    environment = worker_environment(threads=1) | {PLACE: place}
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        rows: dict[str, object] = {"start": starts(place)}
        for batch, count in STEPS.items():
            rows[f"batch {batch}"] = in_process("steps", batch, count, place=place)
    save("compiling", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["start"]:
        print(json.dumps(start(compile=sys.argv[2] == "on")))
    elif sys.argv[1:2] == ["steps"]:
        print(json.dumps(steps(*map(int, sys.argv[2:]))))
    else:
        main()
