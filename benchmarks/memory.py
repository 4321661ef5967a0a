"""Peak memory of one training step as the batch grows, and of the loss alone; the process's resident set, in MiB.

``python -m benchmarks.memory``; about ten minutes on one core. Every row is a process of its own: what its memory's
peak adds to what it held before. Steps: ResNet-8 of width 64 at 32 px, float32; micro-batches of 128 images, and whole
batches for as long as they are modest. ``cached`` is what grows with the batch by design: h and its gradient, z and
its, and the loss's blocks. Loss: forward and backward at d = 128, in row blocks and, as a peer, with the whole matrix.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from ablate.config.encoder import Encoder
from ablate.config.trial import Head, TrialConfig
from ablate.data import DataSet, Images, Split
from ablate.distributed import ALONE
from ablate.ops.composition import Composition
from ablate.training import loss
from ablate.training.trainer import Trainer
from benchmarks.harness import save

MIB = 1 << 20
SIZES = (512, 1024, 2048, 4096, 8192)
MICRO, WHOLE_UP_TO, VIEWS, DIM = 128, 2048, 16384, 128


def step(batch: int, micro_batch: int | None) -> dict[str, float]:
    data = noise(batch)
    config = TrialConfig(
        composition=Composition.parse("crop+color+blur").specs(),
        branches="two",
        base=None,
        data=data.identity,
        encoder=Encoder(name="resnet8", width=64),
        head=Head(),
        batch_size=batch,
        micro_batch=micro_batch,
    )
    trainer = Trainer(config, 0, data, torch.device("cpu"))
    trainer.images.batch(torch.arange(batch))  # the images' own pages
    row = peak_of(lambda: trainer.train_steps(1))
    columns = 2 * batch * (2 * trainer.encoder.dim + 2 * config.head.hidden + 4 * config.head.output)
    return row | {"cached MiB, computed": 4 * (columns + 2 * min(loss.BLOCK, 2 * batch) * 2 * batch) / MIB}


def noise(count: int) -> DataSet:
    split = Split(Images(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)), torch.zeros(count).long(), None)
    return DataSet("noise", "0", ("a", "b"), split, split, torch.zeros(count, dtype=torch.bool), split)


def nt_xent(block: int) -> dict[str, float]:
    loss.BLOCK = block
    z = torch.randn(VIEWS, DIM, requires_grad=True)

    def forward_and_backward() -> None:
        loss.nt_xent_with_top1(z, 0.1, ALONE)[0].backward()

    return peak_of(forward_and_backward)


def peak_of(call) -> dict[str, float]:
    torch.set_num_threads(1)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.perf_counter()
    call()
    return {"peak MiB": status("VmHWM") - before, "seconds": time.perf_counter() - started}


def status(name: str) -> float:
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def in_process(*arguments: object, module: str = "benchmarks.memory") -> dict[str, float]:
    line = [sys.executable, "-m", module, *map(str, arguments)]
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}  # frees are seen
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> None:
    rows = {f"step, batch {n}, micro-batches of {MICRO}": in_process("step", n, MICRO) for n in SIZES}
    rows |= {f"step, batch {n}, whole": in_process("step", n, 0) for n in SIZES if n <= WHOLE_UP_TO}
    rows[f"loss, 2N = {VIEWS}, blocks of {loss.BLOCK} rows"] = in_process("loss", loss.BLOCK)
    rows[f"loss, 2N = {VIEWS}, whole matrix"] = in_process("loss", VIEWS)
    save("memory", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(json.dumps(step(int(sys.argv[2]), int(sys.argv[3]) or None)))
    elif sys.argv[1:2] == ["loss"]:
        print(json.dumps(nt_xent(int(sys.argv[2]))))
    else:
        main()
