"""How time and memory grow with batch size, image size and the number of ops.

``python -m benchmarks.scaling``; about five minutes on one core. Each row is a process of its own: the second of two
calls' processor seconds, one thread, and what the first adds to the process's resident memory. Steps: the small
ResNet-8 of width 16, crop+color+blur, two branches; views: crop and up to six more ops at 32 px, batch 256. How it
grows with the number of trials is in ``benchmarks.scale``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from ablate.config.encoder import Encoder
from ablate.config.trial import Head, TrialConfig
from ablate.data import DataSet, Images, Split
from ablate.distributed import ALONE
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams, TransformPair
from ablate.training.loss import nt_xent_with_top1
from ablate.training.trainer import Trainer
from benchmarks.harness import exponent, save
from benchmarks.memory import peak_of

BATCHES = (64, 256, 1024, 4096, 8192)
SIZES = (32, 64, 96, 160, 224)
OPS = ("crop", "color", "blur", "sobel", "noise", "cutout", "rotate")
AXES = {
    "step by batch size, 32 px": ("batch", BATCHES),
    "the loss alone by batch size": ("loss", BATCHES),
    "step by image side, batch 32": ("side", SIZES),
    "two views by number of ops": ("ops", tuple(range(1, len(OPS) + 1))),
}
Row = dict[str, float]


def call_of(axis: str, size: int) -> Callable[[], object]:
    if axis == "loss":
        z = torch.randn(2 * size, 128, requires_grad=True)

        def both_ways() -> None:
            nt_xent_with_top1(z, 0.1, ALONE)[0].backward()

        return both_ways
    if axis == "ops":
        pair = TransformPair.two_branch("+".join(OPS[:size]), 32)
        images = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8)
        return lambda: pair(images, Streams(0, 0, "cpu"))
    trainer = Trainer(*(config_of(size, 32) if axis == "batch" else config_of(32, size)), torch.device("cpu"))
    return lambda: trainer.train_steps(1)


def config_of(batch: int, side: int) -> tuple[TrialConfig, int, DataSet]:
    pixels = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    split = Split(Images(pixels), torch.zeros(batch).long(), None)
    data = DataSet("noise", "0", ("a", "b"), split, split, torch.zeros(batch, dtype=torch.bool), split)
    config = TrialConfig(
        composition=Composition.parse("crop+color+blur").specs(),
        branches="two",
        base=None,
        data=data.identity,
        image_size=side,
        encoder=Encoder(name="resnet8", width=16),
        head=Head(),
        batch_size=batch,
    )
    return config, 0, data


def row(axis: str, size: int) -> Row:
    torch.set_num_threads(1)
    call = call_of(axis, size)
    memory = peak_of(call)["peak MiB"]
    started = time.process_time()
    call()
    return {"seconds": time.process_time() - started, "MiB": memory}


def in_process(axis: str, size: int) -> Row:
    line = [sys.executable, "-m", "benchmarks.scaling", axis, str(size)]
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "8589934592", "MALLOC_MMAP_THRESHOLD_": "4294967296"}
    answer: Row = json.loads(subprocess.run(line, check=True, capture_output=True, text=True, env=environment).stdout)
    return answer


def main() -> None:
    rows: dict[str, object] = {}
    for name, (axis, sizes) in AXES.items():
        of = {size: in_process(axis, size) for size in sizes}
        slopes = {unit: exponent(sizes, [row[unit] for row in of.values()]) for unit in ("seconds", "MiB")}
        rows[name] = {"exponents": slopes, "by size": of}
    save("scaling", rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(row(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
