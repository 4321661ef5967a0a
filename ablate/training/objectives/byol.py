"""BYOL (Grill et al. 2020, arXiv 2006.07733): a predictor finds the target's projection of the other view."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ablate.training.head import mlp
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, spread, views


class BYOL(Pairs):
    """The squared distance of l2-normalised predictions and targets, in both directions."""

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head`` and ``predictor``: a linear layer, batch norm, ReLU, a linear layer without bias (app. J)."""
        head, inner = self.config.head, self.config.method.predictor
        assert inner is not None
        return {
            "head": mlp([dim, *[head.hidden] * (head.layers - 1), head.output], inner_bias=True),
            "predictor": mlp([head.output, inner, head.output], inner_bias=True),
        }

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`byol` and the spread of z."""
        return byol(*views(projections.predicted), *views(projections.target)), spread(projections.z)


def byol(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    """Return equation 2 in both directions: the mean of ``|p1 - target2|^2 + |p2 - target1|^2``, l2-normalised.

    Args:
        p1: predictions for the first views, ``[N, d]``.
        p2: predictions for the second views.
        target1: the target's projections of the first views, without gradient.
        target2: the target's projections of the second views, without gradient.
    """
    return _distance(p1, target2) + _distance(p2, target1)


def _distance(p: Tensor, target: Tensor) -> Tensor:
    return 2 - 2 * F.cosine_similarity(p, target, dim=1).mean()
