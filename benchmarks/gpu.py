"""The rows that need a GPU: ``make bench-gpu``, one command, under eight minutes on one GPU.

``python -m benchmarks.gpu [--device cpu]``; on the CPU it runs through in small, which shows no more than that it runs.
Two views beside kornia's classes; the ResNet-18 step, eager and compiled, its share of augmentation and of the peak
arithmetic, and where its time goes by a profiler's trace; evaluation beside training; trials side by side on one GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ablate.config.encoder import Encoder
from ablate.config.trial import Head, Optimiser, TrialConfig
from ablate.data import DataSet, Images, Split
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.linear import linear_evaluation
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams, TransformPair
from ablate.training.graph import Graph, aside
from ablate.training.trainer import Trainer
from ablate.trial.provenance import host, versions
from benchmarks.harness import RESULTS, quartiles
from benchmarks.trace import summary, traced
from benchmarks.with_kornia import kornia_views

PEAK = {
    "H100": 790e12,
    "H200": 790e12,
    "A100": 250e12,
}  # FLOP/s in bf16 that large products reach, not the data sheet's
VIEW = 3 * 1.11e9  # FLOP of a ResNet-18 at 32 px, forward and backward, per view
CIFAR = 50_000
ROUNDS = 7
Rows = dict[str, object]


def seconds(call: Callable[[], object], device: torch.device, calls: int) -> list[float]:
    """Per call, in ``ROUNDS`` rounds of ``calls`` calls, the device waited for at either end."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    taken = []
    for number in range(ROUNDS + 1):
        wait()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        if number:  # the first one compiles and warms up
            taken.append((time.perf_counter() - started) / calls)
    return taken


def views(device: torch.device, small: bool) -> Rows:
    sizes = ((32, 8), (96, 8), (224, 8)) if small else ((32, 512), (96, 256), (224, 64))
    return {f"{size} px, B{batch}, ms": views_of(device, size, batch) for size, batch in sizes}


def views_of(device: torch.device, size: int, batch: int) -> Rows:
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8).to(device)
    eager = TransformPair.two_branch("crop+color+blur", size)
    compiled = TransformPair(eager.composition, "two", size, None, compile=device.type == "cuda")
    streams = Streams(0, 0, device)
    calls: dict[str, Callable[[], object]] = {
        "kornia, eager": kornia_views(images, size),
        "ablate": lambda: eager(images, streams),
        "ablate, CUDA graph": captured(eager, images),
        "ablate, compiled": lambda: compiled(images, streams),
        "ablate, compiled, CUDA graph": captured(compiled, images),
    }
    taken = {name: quartiles([1e3 * s for s in seconds(call, device, 3)]) for name, call in calls.items()}
    first = taken["kornia, eager"]["median"]
    return {name: {**row, "ratio": first / row["median"]} for name, row in taken.items()}


def captured(pair: TransformPair, images: Tensor) -> Callable[[], object]:
    """Both views as a trainer makes them: within a CUDA graph, the images gathered in it."""
    streams, index = Streams(0, 0, images.device), torch.arange(len(images), device=images.device)
    if images.device.type == "cpu":
        return lambda: pair(images[index], streams)
    with aside(images.device):
        pair(images[index], streams)
    graph = Graph(lambda chosen: pair(images[chosen], streams), index, streams.generators.values())
    return lambda: graph(index)


def noise(count: int) -> DataSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Split(Images(pixels), torch.randint(0, 10, (count,), generator=generator), None)
    held_out = torch.arange(count) % 10 == 0
    return DataSet("noise", "0", tuple("abcdefghij"), split, split, held_out, split)


def config_of(data: DataSet, device: torch.device, encoder: Encoder, batch: int, *, compile: bool) -> TrialConfig:
    return TrialConfig(
        composition=Composition.parse("crop+color+blur").specs(),
        branches="two",
        base=None,
        data=data.identity,
        encoder=encoder,
        head=Head(),
        batch_size=batch,
        optimiser=Optimiser(),
        device="cuda" if device.type == "cuda" else "cpu",
        precision="bfloat16" if device.type == "cuda" else "float32",
        compile=compile,
    )


def steps(device: torch.device, small: bool) -> Rows:
    batch, count = (8, 1) if small else (512, 10)
    data = noise(64 if small else CIFAR)
    encoder = Encoder(name="resnet8", width=8) if small else Encoder(name="resnet18")
    configs = {
        mode: config_of(data, device, encoder, batch, compile=mode == "compiled") for mode in ("eager", "compiled")
    }
    return {mode: step_of(Trainer(config, 0, data, device), count) for mode, config in configs.items()}


def step_of(trainer: Trainer, count: int) -> Rows:
    device, batch = trainer.device, trainer.config.batch_size
    per_step = [s / count for s in seconds(lambda: trainer.train_steps(count), device, 1)]
    views = captured(trainer.step.pair, trainer.images.batch(torch.arange(batch))[0])
    pair = statistics.median(seconds(views, device, 3))
    step = statistics.median(per_step)
    peak = next((p for name, p in PEAK.items() if name in host(device)["device"]), None)
    trace = summary(traced(lambda: trainer.train_steps(count), device), count)
    return {
        "ms per step": quartiles([1e3 * s for s in per_step]),
        "seconds per CIFAR-10 epoch": step * (CIFAR // batch),
        "share of augmentation": pair / step,
        "share of peak": None if peak is None else 2 * batch * VIEW / step / peak,
        "trace": trace,
    }


def evaluation(device: torch.device, small: bool) -> Rows:
    """Of a 100-epoch trial's worth: features of 60,000 images once, and the l2 sweep on 512 dimensions."""
    data = noise(200 if small else CIFAR)
    encoder = Encoder(name="resnet8", width=8) if small else Encoder(name="resnet18")
    trainer = Trainer(config_of(data, device, encoder, 8, compile=False), 0, data, device)
    frozen = Frozen(trainer.encoder, trainer.head, trainer.config, 0, data, device, trained_on=trainer.images)
    started = time.perf_counter()
    h, y, held_out = frozen.train()
    h.sum().item()
    extracted = time.perf_counter()
    linear_evaluation(h, y, held_out, h[:1000], 10)
    return {"features, seconds": extracted - started, "l2 sweep, seconds": time.perf_counter() - extracted}


def side_by_side(device: torch.device, small: bool) -> Rows:
    """Some processes, each a trial of the small net at batch 256: steps per second of all together."""
    rows: Rows = {}
    for k in (1, 2) if small else (1, 2, 4, 8):
        line = [sys.executable, "-m", "benchmarks.gpu", "--device", device.type, "--trial"]
        processes = [
            subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
            for _ in range(k)
        ]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        per_second = sum(json.loads(process.communicate()[0]) for process in processes)
        rows[str(k)] = {"steps/s": per_second, "cells per GPU hour": 3600 * per_second / (100 * (CIFAR // 256))}
    return rows


def trial(device: torch.device) -> None:
    """One of :func:`side_by_side`: steps per second over ten seconds, from when all are ready."""
    small = device.type == "cpu"
    data = noise(1024)
    config = config_of(data, device, Encoder(name="resnet8", width=8 if small else 64), 256, compile=not small)
    trainer = Trainer(config, 0, data, device)
    trainer.train_steps(4)
    print("ready", flush=True)
    sys.stdin.readline()
    started, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < 10:
        trainer.train_steps(4)
        if device.type == "cuda":
            torch.cuda.synchronize()
        done += 4
    print(json.dumps(done / elapsed))


def main(device: torch.device) -> None:
    small = device.type == "cpu"
    parts: dict[str, Callable[[torch.device, bool], Rows]] = {
        "two views": views,
        "ResNet-18 step, 32 px, B512": steps,
        "evaluation": evaluation,
        "trials side by side": side_by_side,
    }
    content: Rows = {"versions": versions(), "host": {**host(device), "cores": os.cpu_count()}, "rows": {}}
    del content["host"]["name"]  # type: ignore[attr-defined]
    for name, part in parts.items():  # one by one on disk: a part that fails takes no other along
        content["rows"] |= {name: part(device, small)}  # type: ignore[operator]
        text = json.dumps(content, indent=1)
        if not small:
            (RESULTS / "gpu.json").write_text(text + "\n")
        print(json.dumps({name: content["rows"][name]}, indent=1), flush=True)  # type: ignore[index]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--trial", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch sees no GPU here; --device cpu shows that the benchmark runs")
    (trial if asked.trial else main)(torch.device(asked.device))
