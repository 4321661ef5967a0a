"""Optimisers: LARS, SGD with momentum, AdamW; biases and batch norm are not decayed (as in the official LARS)."""

from __future__ import annotations

from torch import nn

from ablate.config.trial import Optimiser
from ablate.training.eager import SGD, AdamW, EagerOptimizer
from ablate.training.lars import LARS


def build_optimiser(config: Optimiser, module: nn.Module) -> EagerOptimizer:
    """Build the optimiser of all trainable parameters of ``module``.

    Vectors (biases, batch norm) get no weight decay. The update is fused into one pass, on the CPU too (LARS:
    multi-tensor).
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if config.name == "lars":
        return LARS(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return AdamW(groups, lr=config.lr, fused=True)
    return SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
