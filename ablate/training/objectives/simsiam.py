"""SimSiam (Chen and He 2021, arXiv 2011.10566): BYOL without a target, behind a stop-gradient."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ablate.training.head import mlp
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, spread, views


class SimSiam(Pairs):
    """The negative cosine similarity of predictions and the other view's projections, in both directions."""

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``, with batch norm after every layer, and ``predictor``, without it after the last (section 3).

        As in the published code, a layer before a batch norm has no bias, and the head's last batch norm neither scale
        nor shift.
        """
        head, inner = self.config.head, self.config.method.predictor
        assert inner is not None
        return {
            "head": mlp([dim, *[head.hidden] * (head.layers - 1), head.output], inner_bias=False, last_norm=True),
            "predictor": mlp([head.output, inner, head.output], inner_bias=False, last_bias=True),
        }

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`simsiam` and the spread of z."""
        return simsiam(*views(projections.predicted), *views(projections.z)), spread(projections.z)


def simsiam(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Return equation 2, ``D(p1, z2) / 2 + D(p2, z1) / 2``, where no gradient flows into z and D is averaged over N.

    Args:
        p1: predictions for the first views, ``[N, d]``.
        p2: predictions for the second views.
        z1: projections of the first views.
        z2: projections of the second views.
    """
    similarity = F.cosine_similarity(p1, z2.detach(), dim=1) + F.cosine_similarity(p2, z1.detach(), dim=1)
    return -similarity.mean() / 2
