"""LiDAR beside stable-pretraining's, with equal features in float64.

``pip install --no-deps stable-pretraining==0.1.8``, then ``python -m benchmarks.lidar``, in seconds. One file of the
package is loaded, with stand-ins for the training loop around it. A row is the relative difference. stable-pretraining
adds 1e-8 to each eigenvalue before it divides by their sum, and the paper 1e-7 afterwards, which is the difference.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import files, version
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor

from ablate.evaluation.lidar import DELTA, discriminant_rank
from benchmarks.harness import save

FILE = "stable_pretraining/callbacks/lidar.py"
SHAPES = {"200 images, 10 views, 64 dimensions": (200, 10, 64), "40 images, 4 views, 128 dimensions": (40, 4, 128)}


def peer() -> Any:
    """The class LiDAR of stable-pretraining, without the package around it."""
    lightning = ModuleType("lightning.pytorch")
    vars(lightning).update(Callback=object, LightningModule=object, Trainer=object)
    stubs = {"lightning": ModuleType("lightning"), "lightning.pytorch": lightning, "loguru": MagicMock()}
    stubs |= {f"stable_pretraining.callbacks.{name}": MagicMock() for name in ("registry", "queue", "utils")}
    stubs |= {name: ModuleType(name) for name in ("stable_pretraining", "stable_pretraining.callbacks")}
    sys.modules.update(stubs)
    (path,) = (file for file in files("stable-pretraining") or () if str(file) == FILE)
    spec = importlib.util.spec_from_file_location("stable_pretraining.callbacks.lidar", path.locate())
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LiDAR


def features(shape: tuple[int, int, int]) -> Tensor:
    """Views of images: what they share and what they do not, on scales that fall by dimension."""
    generator = torch.Generator().manual_seed(0)
    own, shared = torch.randn(shape, generator=generator), torch.randn(shape[0], 1, shape[2], generator=generator)
    return (own + 2 * shared * torch.logspace(0, -2, shape[2])).double()


def main() -> None:
    """Compare, write and print."""
    compute, rows = peer()._compute_lidar, {}
    for name, shape in SHAPES.items():
        settings = SimpleNamespace(name="", n_classes=shape[0], samples_per_class=shape[1], delta=DELTA, epsilon=1e-8)
        values = features(shape)
        ours, theirs = discriminant_rank(values), compute(settings, values.flatten(0, 1))["lidar"]
        rows[name] = {"ours": ours, "theirs": theirs, "difference": abs(ours - theirs) / theirs}
    save("lidar", {"packages": {"stable-pretraining": version("stable-pretraining")}, **rows})


if __name__ == "__main__":
    main()
