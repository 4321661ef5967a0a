"""Ops that a package of the tests' own announces: the test process registers them, and jobs find them on their path."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from torch import Tensor

import ablate
from ablate.ops import registry
from ablate.ops.op import Params

ROOT = Path(__file__).parents[2]
HELD = "ABLATE_TEST_HELD"
PAUSE = 0.5


class Brake(ablate.Op):
    """Mirror images; as long as the file that ``ABLATE_TEST_HELD`` names exists, take half a second for a batch.

    A trial with it can be interrupted at leisure, takes no CPU meanwhile, and ends soon after the file is gone.
    """

    def transform(self, images: Tensor, params: Params) -> Tensor:
        if os.environ.get(HELD) and Path(os.environ[HELD]).exists():
            time.sleep(PAUSE)
        return images.flip(3)


class Brittle(ablate.Op):
    """Fail on more than a few images."""

    def transform(self, images: Tensor, params: Params) -> Tensor:
        if len(images) > 4:
            raise RuntimeError("brittle as glass")
        return images


def register_here(patch: pytest.MonkeyPatch) -> None:
    """Register the ops in this process, until ``patch`` is undone."""
    registry.names()
    patch.setattr(registry, "_OPS", dict(registry._OPS))
    for op in (Brake, Brittle):
        ablate.register(op.__name__.lower())(op)


def announce(folder: Path) -> str:
    """Make a package that announces the ops, and return the ``PYTHONPATH`` on which other processes find it."""
    info = folder / "plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    entries = [f"{op.__name__.lower()} = {op.__module__}:{op.__name__}\n" for op in (Brake, Brittle)]
    (info / "entry_points.txt").write_text("".join(["[ablate.ops]\n", *entries]))
    return os.pathsep.join(map(str, (folder, ROOT)))
