"""Compile the ops' kernels, which stay beside their modules: ``python -m tests.support.kernels``.

In a fresh clone, processes that start at the same time would each spend 12 s of CPU on them.
"""

from __future__ import annotations

import torch

from ablate.ops import get
from ablate.ops.pair import Streams, TransformPair

STORED = (torch.uint8, torch.uint16, torch.float32)
COMPILED = ("color", "blur", "intensity", "d4", "zoom_out")


def compile_all() -> None:
    """Run everything compiled on two small images of each type."""
    for name in COMPILED:
        op = get(name)(p=1.0)
        op.apply(torch.rand(2, 3, 16, 16), op.sample(2, (16, 16), torch.Generator()))
    for dtype in STORED:
        images = torch.ones(2, 3, 20, 20).to(dtype)
        TransformPair.two_branch("crop", size=16)(images, Streams(0, 0, "cpu"))


if __name__ == "__main__":
    compile_all()
