"""MoCo v3 (Chen et al. 2021, arXiv 2104.02057): a prediction finds the target's projection of the other view."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.training.head import mlp
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, views


class MoCoV3(Pairs):
    """The contrastive loss of queries and keys, in both directions; there is no queue."""

    metric = "contrastive_top1"

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``, with a batch norm after every layer, and ``predictor``, without one after the last.

        This is the published code's for ResNets: no layer has a bias, and the head's last batch norm neither scale nor
        shift.
        """
        head, inner = self.config.head, self.config.method.predictor
        assert inner is not None
        return {
            "head": mlp([dim, *[head.hidden] * (head.layers - 1), head.output], inner_bias=False, last_norm=True),
            "predictor": mlp([head.output, inner, head.output], inner_bias=False),
        }

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`mocov3`, and the share of queries whose most similar key is that of their image."""
        return mocov3(*views(projections.predicted), *views(projections.target), self.config.temperature)


def mocov3(q1: Tensor, q2: Tensor, k1: Tensor, k2: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return ``ctr(q1, k2) + ctr(q2, k1)`` (algorithm 1) and the top-1.

    ``ctr`` is equation 1 times ``2 tau``: the cross-entropy with which a query finds the key of its image among the
    keys of the other views of all images.

    Args:
        q1: predictions for the first views, ``[N, d]``.
        q2: predictions for the second views.
        k1: the target's projections of the first views, without gradient.
        k2: the target's projections of the second views, without gradient.
        temperature: tau > 0.
    """
    own = torch.arange(len(q1), device=q1.device)
    first, second = (F.normalize(q, dim=1) @ F.normalize(k, dim=1).T / temperature for q, k in ((q1, k2), (q2, k1)))
    loss = 2 * temperature * (F.cross_entropy(first, own) + F.cross_entropy(second, own))
    hits = torch.cat([first, second]).detach().argmax(1) == own.repeat(2)
    return loss, hits.float().mean()
