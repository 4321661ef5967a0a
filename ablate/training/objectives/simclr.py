"""SimCLR (Chen et al. 2020, arXiv 2002.05709): every view finds its partner among all views of the batch."""

from __future__ import annotations

from torch import Tensor

from ablate.distributed import World
from ablate.training.loss import nt_xent_with_top1
from ablate.training.objectives.objective import Objective, Projections


class SimCLR(Objective):
    """NT-Xent (paper, equation 1) over both views."""

    metric = "contrastive_top1"

    def loss(self, projections: Projections, world: World) -> tuple[Tensor, Tensor]:
        """Return the shares of NT-Xent and of its top-1, see :func:`ablate.training.loss.nt_xent_with_top1`."""
        return nt_xent_with_top1(projections.z, self.config.temperature, world)
