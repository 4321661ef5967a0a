"""The base class of objectives that compare two views, and the spread of their projections."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from ablate.distributed import World, gather
from ablate.training.objectives.objective import Objective, Projections


class Pairs(Objective):
    """An objective whose loss is computed for the whole batch, on every process alike.

    Each process gathers the projections of all others, and divides the loss of the whole batch by the number of
    processes, so that the shares, and the gradients that come back through the gathering, add up to those of one
    process.
    """

    metric = "z_spread"

    def loss(self, projections: Projections, world: World) -> tuple[Tensor, Tensor]:
        """Return the shares of :meth:`of_batch`."""
        z, labels, predicted, target = projections
        whole = Projections(
            _together(z, world),
            gather(labels, world).flatten(),
            None if predicted is None else _together(predicted, world),
            None if target is None else _together(target, world),
        )
        loss, metric = self.of_batch(whole)
        return loss / world.size, metric / world.size

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return the loss and the metric of the projections of a whole batch, in float32 or float64."""
        raise NotImplementedError


def _together(x: Tensor, world: World) -> Tensor:
    """Return the rows of all processes, all first views before all second ones, at least in float32."""
    # In bfloat16, sums over a batch and small differences of projections would have three digits only.
    own = x if x.dtype.itemsize >= 4 else x.float()
    rows: Tensor = gather(own, world).unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 2)
    return rows


def views(x: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the projections of the first views and those of the second views, each ``[N, d]``."""
    assert x is not None
    first, second = x.unflatten(0, (2, -1))
    return first, second


def spread(z: Tensor) -> Tensor:
    """Return how far projections lie apart: 0 where all have one direction, about 1 where they fill the sphere evenly.

    It is the standard deviation over the rows of l2-normalised ``z [N, d]``, averaged over the dimensions, times
    ``sqrt(d)`` (Chen and He 2021, arXiv 2011.10566, section 4.1, who plot it without the factor). It has no gradient.
    """
    normal = F.normalize(z.detach().float(), dim=1)
    deviation: Tensor = normal.std(0).mean()
    return deviation * math.sqrt(z.shape[1])
