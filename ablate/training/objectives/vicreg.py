"""VICReg (Bardes et al. 2022, arXiv 2105.04906): invariance, variance and covariance of projections."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ablate.training.head import mlp
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, spread, views

EPSILON = 1e-4  # in the standard deviation (section 4.1)


class VICReg(Pairs):
    """Three terms: views agree, every dimension varies, and dimensions do not covary."""

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``, the expander: batch norm and ReLU after all layers but the last, which has no bias."""
        head = self.config.head
        return {"head": mlp([dim, *[head.hidden] * (head.layers - 1), head.output], inner_bias=True)}

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`vicreg` and the spread of z."""
        method = self.config.method
        assert method.invariance is not None
        assert method.variance is not None
        assert method.covariance is not None
        weights = method.invariance, method.variance, method.covariance
        return vicreg(*views(projections.z), *weights), spread(projections.z)


def vicreg(z1: Tensor, z2: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """Return equation 6, ``invariance * s + variance * v + covariance * c``, with the factors of the published code.

    - ``s`` is the mean of ``(z1 - z2)^2`` over images and dimensions; equation 5 sums over the dimensions.
    - ``v`` is the mean of ``max(0, 1 - std)`` over the dimensions of both views; equation 6 adds the two views.
    - ``c`` is the sum of the squared covariances of different dimensions, divided by d, of both views together.

    Args:
        z1: projections of the first views, ``[N, d]``.
        z2: projections of the second views.
        invariance: lambda.
        variance: mu.
        covariance: nu.
    """
    v = (_hinge(z1) + _hinge(z2)) / 2
    return invariance * F.mse_loss(z1, z2) + variance * v + covariance * (_covariance(z1) + _covariance(z2))


def _hinge(z: Tensor) -> Tensor:
    """Return equation 1: how far the standard deviations lie below 1, on average over the dimensions."""
    return F.relu(1 - (z.var(0) + EPSILON).sqrt()).mean()


def _covariance(z: Tensor) -> Tensor:
    """Return equation 4: the squared covariances of different dimensions, summed and divided by d."""
    centred = z - z.mean(0)
    matrix = centred.T @ centred / (len(z) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / z.shape[1]
