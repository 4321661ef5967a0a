"""Optimisers: LARS, SGD with momentum, AdamW; biases and batch norm are not decayed (as in the official LARS)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ablate.config.trial import Optimiser
from ablate.training.eager import SGD, AdamW, EagerOptimizer
from ablate.training.lars import LARS


def build_optimiser(config: Optimiser, module: nn.Module) -> EagerOptimizer:
    """Build the optimiser of all trainable parameters of ``module``.

    Vectors (biases, batch norm) get no weight decay. With ``init_lr_scale``, the encoder's groups follow the others,
    and their ``scale`` is the factor of their learning rate. The update is fused into one pass, on the CPU too (LARS:
    multi-tensor). On a GPU, learning rates are :func:`held` there, so that a CUDA graph can hold the update.
    """
    optimiser = _built(config, module)
    for group in optimiser.param_groups:
        group["lr"] = held(config.lr, group["params"][0].device) if group["params"] else config.lr
    return optimiser


def held(value: float, device: torch.device) -> float | Tensor:
    """Return a number that is to change from step to step: on a GPU a float32 tensor ``[]``, else the number itself.

    A CUDA graph would replay a plain number as it was when it was captured. On a CPU the tensor would be rounded to
    float32 for nothing.
    """
    return torch.full((), value, device=device) if device.type == "cuda" else value


def changed(number: float | Tensor, value: float) -> float | Tensor:
    """Return ``number``, which :func:`held` made, with another value; a tensor is filled without waiting for it."""
    return number.fill_(value) if isinstance(number, Tensor) else value


def load(optimiser: EagerOptimizer, state: dict[str, Any]) -> None:
    """Continue from the optimiser's state in a checkpoint, with the settings that ``optimiser`` was made with.

    In checkpoints of earlier versions, learning rates are plain numbers, also on a GPU.

    Raises:
        ValueError: the state is that of other parameters.
    """
    settings = [dict(group) for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, settings, strict=True):
        group.update(own)


def _built(config: Optimiser, module: nn.Module) -> EagerOptimizer:
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
        # torch asks for it before a CUDA graph may hold the update; fused, it is the same update either way.
        return AdamW(groups, lr=config.lr, fused=True, capturable=any(p.device.type == "cuda" for p in parameters))
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
