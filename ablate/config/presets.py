"""Named sets of default values, each with the source of its values.

A preset's values never change. If one has to change, it gets a new version, ``NAME@2``, and :data:`REPLACED` says how
to ask for the first one, so that a sweep that began with it can be continued. Presets fill in settings; the variant of
an op is chosen in the composition. A table in docs/training.md lists the remaining differences from the official code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ablate.config.trial import SMALL_IMAGE

Scaling = Literal["linear", "sqrt"]


def scaled(base: float, batch_size: int, scaling: Scaling) -> float:
    """Return the learning rate for a batch size: ``base * B / 256`` or ``base * sqrt(B)``.

    Both rules are from the paper (app. B.1) and the official code.

    Args:
        base: the base rate.
        batch_size: B.
        scaling: the rule.
    """
    return base * batch_size / 256 if scaling == "linear" else base * math.sqrt(batch_size)


LARS_BASES: Mapping[Scaling, float] = {"linear": 0.3, "sqrt": 0.075}
"""LARS's base rates (paper, section 2.2 and app. B.1): both give the same rate at batch 4096."""
LARS_VALUES: Mapping[str, Any] = {"name": "lars", "momentum": 0.9, "weight_decay": 1e-6}
"""The values that LARS uses where a preset has another optimiser (paper, section 2.2)."""


@dataclass(frozen=True)
class Preset:
    """Default values: ``values`` fill a TrialConfig, and ``ops`` replace the defaults of ops.

    ``lr_base`` is scaled to the batch size. ``largest`` is in pixels: a data set's own image size is used up to it.
    """

    name: str
    values: Mapping[str, Any]
    lr_base: float
    lr_scaling: Scaling = "linear"
    ops: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    largest: int | None = None


ONE_GPU = "one-gpu"


def one_gpu(image_size: int) -> Preset:
    """Return the default on a GPU: SimCLR's augmentations and head with the widely used one-GPU SGD recipe.

    Augmentations and head are those of the paper (sections 2 and 4.2, app. A). Up to 64 px: ResNet-18 with the
    small-image stem and temperature 0.5 (paper, app. B.9); above: ResNet-50 and 0.1 (section 5.1). SGD with momentum
    0.9, lr 0.03 B/256 and weight decay 5e-4 replaces LARS at batch 4096. Colour strength is 1 at every size, the op's
    default; the paper's CIFAR-10 runs have 0.5, and no blur (app. B.9).
    """
    small = image_size <= SMALL_IMAGE
    encoder = {"name": "resnet18" if small else "resnet50"}
    head = {"hidden": 512, "output": 128} if small else {"hidden": 2048, "output": 128}
    return Preset(
        name=ONE_GPU,
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
        lr_base=0.03,
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
    lr_base=0.016,
    ops={"crop": {"area": (0.6, 1.0), "flip_p": 0.0}},
)
"""Ours: about a minute of one CPU core per trial. Digits are not mirror-symmetric, so ``crop`` does not flip."""

LAPTOP = Preset(
    name="laptop@2",
    values={
        "encoder": {"name": "resnet8", "width": 16},
        "head": {"hidden": 128, "output": 64},
        "epochs": 40,
        "warmup_epochs": 4,
        "batch_size": 64,
        "temperature": 0.2,
        "optimiser": {"name": "adamw", "weight_decay": 1e-4},
        "base": {"area": (0.08, 1.0)},
    },
    lr_base=0.008,
    largest=32,
)
"""Ours, for your own images on a CPU: about a millisecond of one core per image and epoch. Images have at most 32 px
unless another size is asked for. docs/training.md tells which variants were tried."""

IMAGENET_PAPER = Preset(
    name="imagenet-paper@2",
    values={
        "encoder": {"name": "resnet50", "zero_init_residual": True},
        "head": {"hidden": 2048, "output": 128, "batch_norm": True},
        "epochs": 100,
        "warmup_epochs": 10,
        "batch_size": 4096,
        "temperature": 0.1,
        "optimiser": {"name": "lars", "momentum": 0.9, "weight_decay": 1e-6},
        "base": {"area": (0.08, 1.0)},
        "loss_scale": 2.0,
    },
    lr_base=0.3,
)
"""The paper: ResNet-50, a two-layer head to 128 dimensions, batch 4096 for 100 epochs, LARS at 4.8 = 0.3 B/256 with
weight decay 1e-6, linear warm-up for 10 epochs, then cosine decay (section 2.2, "Default setting"); tau 0.1 (section
5.1, table 5); crops of area 0.08 to 1, colour strength 1, blur (app. A), which are the ops' own defaults. Where its
text is silent, the code that was published with it (google-research/simclr, first commit): batch norm behind both
layers of the head, the last without shift; residual blocks that start as their shortcuts; ``loss_scale`` 2, since its
loss is the sum of the two directions' means."""

IMAGENET_README = Preset(
    name="imagenet-readme@2",
    values={
        "encoder": {"name": "resnet50", "zero_init_residual": True},
        "head": {"hidden": 2048, "output": 128, "layers": 3, "batch_norm": True},
        "epochs": 100,
        "warmup_epochs": 10,
        "batch_size": 4096,
        "temperature": 0.1,
        "optimiser": {"name": "lars", "momentum": 0.9, "weight_decay": 1e-4},
        "base": {"area": (0.08, 1.0)},
        "loss_scale": 2.0,
    },
    lr_base=0.075,
    lr_scaling="sqrt",
)
"""The official repository's ImageNet command (README.md, "Pretraining") and, where it is silent, the defaults of its
run.py and models: LARS at 0.075 sqrt(B), weight decay 1e-4, tau 0.1, batch 4096, 100 epochs of which 10 warm-up, a head
of three layers with batch norm (``num_proj_layers=3``, hidden as wide as h), residual blocks that start as their
shortcuts, ``loss_scale`` 2. It reports about 64.5 % linear."""

CIFAR10_PAPER = Preset(
    name="cifar10-paper@2",
    values={
        "encoder": {"name": "resnet50", "zero_init_residual": True},
        "head": {"hidden": 2048, "output": 128, "batch_norm": True},
        "epochs": 1000,
        "warmup_epochs": 10,
        "batch_size": 1024,
        "temperature": 0.5,
        "optimiser": {"name": "lars", "momentum": 0.9, "weight_decay": 1e-6},
        "base": {"area": (0.08, 1.0)},
        "loss_scale": 2.0,
    },
    lr_base=1.0,
    ops={"color": {"strength": 0.5}},
)
"""The paper's CIFAR-10 runs (app. B.9): ResNet-50 with the small-image stem, colour strength 0.5 and no blur, optimiser
and weight decay as on ImageNet; batch 1024 gave its best model (94.0 %). It searched learning rates {0.5, 1.0, 1.5} and
tau {0.1, 0.5, 1.0} and does not say which won: these are the middle ones. Figure B.7 goes up to 1000 epochs. The rest
is that of ``imagenet-paper@2``."""

CIFAR10_README = Preset(
    name="cifar10-readme@2",
    values={
        "encoder": {"name": "resnet18", "zero_init_residual": True},
        "head": {"hidden": 512, "output": 128, "layers": 3, "batch_norm": True},
        "epochs": 1000,
        "warmup_epochs": 10,
        "batch_size": 512,
        "temperature": 0.5,
        "optimiser": {"name": "lars", "momentum": 0.9, "weight_decay": 1e-4},
        "base": {"area": (0.08, 1.0)},
        "loss_scale": 2.0,
    },
    lr_base=1.0,
    ops={"color": {"strength": 0.5}},
)
"""The official repository's CIFAR-10 command (README.md, "Pretraining") and, where it is silent, the defaults of its
run.py and models: ResNet-18, LARS at 1.0 B/256, weight decay 1e-4, tau 0.5, batch 512, 1000 epochs of which 10 warm-up,
colour strength 0.5, no blur, a head of three layers with batch norm, residual blocks that start as their shortcuts,
``loss_scale`` 2. It reports about 91 %."""

CIFAR10_FAST = Preset(
    name="cifar10-fast",
    values={
        "encoder": {"name": "resnet18"},
        "head": {"hidden": 1024, "output": 128},
        "epochs": 100,
        "warmup_epochs": 0,
        "batch_size": 512,
        "temperature": 0.5,
        "optimiser": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
        "base": {"area": (0.2, 1.0)},
    },
    lr_base=0.06,
    ops={"crop": {"area": (0.2, 1.0)}, "color": {"strength": 0.5, "gray_p": 0.1}},
)
"""The public one-GPU recipe github.com/dkobak/simclr-cifar10: ResNet-18, SGD, weight decay 5e-4, grey with p 0.1, crops
from area 0.2, no blur, no warm-up. Its base rate is 0.03 (times B/256) for 1000 epochs and 0.06 for the 100 epochs of
this preset, which gave 85.6 +- 0.2 % linear and 83.2 % kNN. There the decay acts on biases and batch norm too, and the
rate falls once per epoch; here it falls with every step, and vectors are not decayed."""

NAMED = {
    preset.name: preset
    for preset in (GLYPHS, LAPTOP, IMAGENET_PAPER, IMAGENET_README, CIFAR10_PAPER, CIFAR10_README, CIFAR10_FAST)
}
"""The presets whose values do not depend on the image size; ``--preset`` takes these and :data:`ONE_GPU`."""

NAMES = (*NAMED, ONE_GPU)
"""The names that ``--preset`` takes."""

NOT_ZERO = {"encoder.zero_init_residual": False}
REPLACED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "laptop": ("laptop@2", {"epochs": 10, "warmup_epochs": 1}),
    "imagenet-paper": ("imagenet-paper@2", {**NOT_ZERO, "head.batch_norm": False}),
    "imagenet-readme": ("imagenet-readme@2", NOT_ZERO),
    "cifar10-paper": ("cifar10-paper@2", {**NOT_ZERO, "head.batch_norm": False}),
    "cifar10-readme": ("cifar10-readme@2", NOT_ZERO),
}
"""Replaced first versions: the name of the replacement, and the settings that turn it into the first version."""


def preset_for(data: str, image_size: int) -> Preset:
    """Return the default preset of a data set on a GPU: ``glyphs`` has its own, every other the one-GPU recipe."""
    return GLYPHS if data == "glyphs" else one_gpu(image_size)
