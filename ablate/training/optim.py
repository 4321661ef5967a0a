"""Optimisers: LARS, SGD with momentum, AdamW; biases and batch norm are not decayed (as in the official LARS)."""

from __future__ import annotations

from typing import Any

from torch import nn

from ablate.config.trial import Optimiser
from ablate.training.eager import SGD, AdamW, EagerOptimizer
from ablate.training.lars import LARS


def build_optimiser(config: Optimiser, module: nn.Module) -> EagerOptimizer:
    """Build the optimiser of all trainable parameters of ``module``.

    Vectors (biases, batch norm) get no weight decay. With ``init_lr_scale``, the encoder's groups follow the others,
    and their ``scale`` is the factor of their learning rate. The update is fused into one pass, on the CPU too (LARS:
    multi-tensor).
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if config.name == "lars":
        lars = _scaled([{"params": parameters}], config, module)
        return LARS(lars, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = _scaled(groups, config, module)
    if config.name == "adamw":
        return AdamW(groups, lr=config.lr, fused=True)
    return SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)


def _scaled(groups: list[dict[str, Any]], config: Optimiser, module: nn.Module) -> list[dict[str, Any]]:
    """Return the groups without the encoder's parameters, then those with them; without a scale, all as they are."""
    if config.init_lr_scale == 1 or not isinstance(module, nn.ModuleDict):
        return groups
    body = {id(p) for p in module["encoder"].parameters()}
    others = [{**group, "params": [p for p in group["params"] if id(p) not in body]} for group in groups]
    scaled = [
        {**group, "params": [p for p in group["params"] if id(p) in body], "scale": config.init_lr_scale}
        for group in groups
    ]
    return [*others, *scaled]
