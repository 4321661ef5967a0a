"""Supervised training: cross-entropy over the first view, with a linear classifier as the head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.distributed import World
from ablate.training.objectives.objective import Objective, Projections


class Supervised(Objective):
    """Cross-entropy of the labels. ``z`` are the logits of a linear classifier on ``h``."""

    metric = "train_top1"

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``, a linear classifier of ``classes`` classes."""
        return {"head": nn.Linear(dim, classes)}

    def loss(self, projections: Projections, world: World) -> tuple[Tensor, Tensor]:
        """Return the shares of the mean cross-entropy and of the top-1."""
        z, labels = projections.z, projections.labels
        logits = z if z.dtype == torch.float64 else z.float()  # in bfloat16, a softmax has only three digits
        top1 = (logits.detach().argmax(1) == labels).float().mean()
        # Both are means over this process's images, and all processes have equally many.
        return F.cross_entropy(logits, labels) / world.size, top1 / world.size
