"""Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230): the cross-correlation of the two views becomes the identity."""

from __future__ import annotations

from torch import Tensor, nn

from ablate.training.head import mlp
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, spread, views

EPSILON = 1e-5  # added to variances, as by the batch norm of the published code


class BarlowTwins(Pairs):
    """Redundancy reduction between the dimensions of z."""

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``: linear layers without biases, batch norm and ReLU after all but the last (section 2.2)."""
        head = self.config.head
        return {"head": mlp([dim, *[head.hidden] * (head.layers - 1), head.output], inner_bias=False)}

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`barlow_twins` and the spread of z."""
        weight = self.config.method.redundancy
        assert weight is not None
        return barlow_twins(*views(projections.z), weight), spread(projections.z)


def barlow_twins(z1: Tensor, z2: Tensor, weight: float) -> Tensor:
    """Return equation 1: ``sum_i (1 - C_ii)^2 + weight * sum_i sum_(j != i) C_ij^2``.

    C ``[d, d]`` is the cross-correlation of the projections over the batch (equation 2).

    Args:
        z1: projections of the first views, ``[N, d]``.
        z2: projections of the second views.
        weight: lambda.
    """
    correlation = _standardised(z1).T @ _standardised(z2) / len(z1)
    diagonal = correlation.diagonal()
    return (1 - diagonal).square().sum() + weight * (correlation.square().sum() - diagonal.square().sum())


def _standardised(z: Tensor) -> Tensor:
    return (z - z.mean(0)) * (z.var(0, correction=0) + EPSILON).rsqrt()
