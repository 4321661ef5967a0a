"""A tiny trial for several processes."""

from __future__ import annotations

import torch

from ablate.config.encoder import Encoder
from ablate.config.objectives import KINDS, Method
from ablate.config.trial import Head, TrialConfig
from ablate.data.dataset import DataSet, Images, Split
from ablate.ops.composition import Composition

CPU = torch.device("cpu")


def data() -> DataSet:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (160, 3, 20, 20), generator=generator, dtype=torch.uint8)
    labels = torch.arange(160) % 3
    split = Split(Images(pixels), labels, torch.arange(160))
    return DataSet("noise", "f00d", ("a", "b", "c"), split, split, torch.arange(160) % 10 == 0, split)


def config(world_size: int, **changes) -> TrialConfig:
    content = {
        "composition": Composition.parse("crop(area=(0.5,1))+color+blur+noise").specs(),
        "branches": "two",
        "base": None,
        "data": data().identity,
        "image_size": 16,
        "encoder": Encoder(name="resnet8", width=4),
        "head": Head(hidden=8, output=4),
        "epochs": 4,
        "warmup_epochs": 1,
        "batch_size": 32,
        "memory_format": "contiguous",
        "world_size": world_size,
        **changes,
    }
    return TrialConfig(**content)


def of_objective(name: str) -> dict:
    """What a tiny trial of another objective than SimCLR sets."""
    kind = KINDS[name]
    narrow = {name: 6 for name in ("predictor", "bottleneck") if f"method.{name}" in kind.settings}
    method = Method(**kind.method | narrow)
    return {"objective": name, "method": method, "head": Head(hidden=8, output=4, layers=kind.layers or 2)}
