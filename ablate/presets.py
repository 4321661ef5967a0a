"""Named sets of default values, each with where its values come from; nothing here is mixed between presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.config import SMALL_IMAGE


@dataclass(frozen=True)
class Preset:
    """``values`` fill a TrialConfig; ``ops`` replace op defaults; ``lr_per_256`` is scaled by batch size / 256."""

    name: str
    values: Mapping[str, Any]
    lr_per_256: float
    ops: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def default_preset(image_size: int) -> Preset:
    """SimCLR's augmentations and head (paper, sections 2 and 4.2, app. A) with the widely used one-GPU SGD recipe.

    ResNet-18 with the small-image stem and temperature 0.5 up to 64 px (paper, app. B.9), ResNet-50 and 0.1 above
    (section 5.1); SGD with momentum 0.9, lr 0.03 B/256, weight decay 5e-4 instead of LARS at batch 4096.
    """
    small = image_size <= SMALL_IMAGE
    encoder = {"name": "resnet18" if small else "resnet50"}
    head = {"hidden": 512, "output": 128} if small else {"hidden": 2048, "output": 128}
    return Preset(
        name="default",
        values={
            "encoder": encoder,
            "head": head,
            "epochs": 100,
            "warmup_epochs": 10,
            "batch_size": 256,
            "temperature": 0.5 if small else 0.1,
            "optimiser": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
            "base": {"area": (0.08, 1.0)},
        },
        lr_per_256=0.03,
    )


GLYPHS = Preset(
    name="glyphs",
    values={
        "encoder": {"name": "resnet8", "width": 16},
        "head": {"hidden": 128, "output": 64},
        "epochs": 12,
        "warmup_epochs": 1,
        "batch_size": 32,
        "temperature": 0.2,
        "optimiser": {"name": "adamw", "weight_decay": 1e-4},
        "base": {"area": (0.6, 1.0)},
    },
    lr_per_256=0.016,
    ops={"crop": {"area": (0.6, 1.0), "flip_p": 0.0}},
)
"""Ours: under 60 seconds of one CPU core per trial. Digits are not mirror-symmetric, so ``crop`` does not flip."""


def preset_for(data: str, image_size: int) -> Preset:
    """The preset that a data set starts from: ``glyphs`` has its own, everything else the paper's values."""
    return GLYPHS if data == "glyphs" else default_preset(image_size)
