"""Optimisers: SGD with momentum, and AdamW; biases and batch norm are not decayed (as in the official code)."""

from __future__ import annotations

import torch
from torch import nn

from ablate.config import Optimiser


def build_optimiser(config: Optimiser, module: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of all of ``module``'s parameters; vectors (biases, batch norm) get no weight decay.

    Multi-tensor on the CPU, fused into one kernel on CUDA.
    """
    parameters = list(module.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = parameters[0].is_cuda
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=fused, foreach=not fused)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused, foreach=not fused)
