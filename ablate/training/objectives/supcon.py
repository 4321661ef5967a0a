"""SupCon (Khosla et al. 2020, arXiv 2004.11362): every view finds all views of its class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs


class SupCon(Pairs):
    """The supervised contrastive loss over both views. Its head is SimCLR's (section 3.1)."""

    metric = "same_class_top1"

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`supcon`, and the share of views whose most similar other view is of their class."""
        return supcon(projections.z, projections.labels.repeat(2), self.config.temperature)


def supcon(z: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return equation 2, the mean over all views where the paper has the sum, and the top-1.

    For a view i, it is the mean over the other views p of its class of
    ``-log(exp(z_i . z_p / tau) / sum over a != i of exp(z_i . z_a / tau))``.

    Args:
        z: ``[2N, d]`` projections, not normalised.
        labels: int64 ``[2N]``; every class has at least two views.
        temperature: tau > 0.
    """
    z = F.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, float("-inf"))
    same = (labels[:, None] == labels) & ~itself
    found = logits.log_softmax(1).masked_fill(~same, 0).sum(1) / same.sum(1)
    nearest = labels[logits.detach().argmax(1)]
    return -found.mean(), (nearest == labels).float().mean()
