"""The target: a momentum copy of encoder and head, which follows them and gives what is to be predicted."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from ablate.distributed import World


def momentum_copy(model: nn.ModuleDict, world: World) -> nn.ModuleDict:
    """Return a copy of ``encoder`` and ``head`` that takes no gradient.

    Args:
        model: the trainer's modules.
        world: the processes that train together, which the copy's batch norms span too.
    """
    parts = nn.ModuleDict({name: model[name] for name in ("encoder", "head")})
    # The world holds a connection, which cannot be copied.
    return copy.deepcopy(parts, {id(world): world}).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.ModuleDict, model: nn.ModuleDict, pace: float | Tensor) -> None:
    """Set every weight of ``target`` to ``(1 - pace) * its own + pace * that of model``.

    Running statistics of batch norms are not touched: those of the target come from its own batches, as in the code of
    the papers.

    Args:
        target: the target.
        model: the trainer's modules.
        pace: 1 minus the momentum; a tensor ``[]`` in a CUDA graph.
    """
    for name, part in target.items():
        own: list[Tensor] = [*part.parameters()]
        trained: list[Tensor] = [*model[name].parameters()]
        if isinstance(pace, Tensor):
            torch._foreach_lerp_(own, trained, [pace] * len(own))
        else:
            torch._foreach_lerp_(own, trained, pace)


def momentum_at(step: int, steps: int, first: float) -> float:
    """Return the momentum of ``step`` of ``steps``: ``first`` at step 0, then rising to 1 as a cosine.

    It is the schedule of BYOL (section 3.3), MoCo v3 (section 3) and DINO (section 3.1).
    """
    return 1 - (1 - first) * (math.cos(math.pi * step / steps) + 1) / 2
