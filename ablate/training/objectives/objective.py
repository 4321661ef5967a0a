"""The base class of objectives: their modules, and their loss as a function of projections."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ablate.config.objectives import kind_of
from ablate.config.trial import TrialConfig
from ablate.distributed import World
from ablate.training.head import ProjectionHead
from ablate.training.target import momentum_copy


class Projections(NamedTuple):
    """The projections of this process's ``n`` images of a batch, of which a loss is a function.

    Args:
        z: float ``[views * n, d]``, the head's output, all first views before all second ones.
        labels: int64 ``[n]``; -1 where the label is hidden.
        predicted: float ``[views * n, d]``, the predictor's output for ``z``; None without a predictor.
        target: float ``[views * n, d]``, the projections of the target, without gradient; None without a target.
    """

    z: Tensor
    labels: Tensor
    predicted: Tensor | None = None
    target: Tensor | None = None


class Objective:
    """What encoder and head are trained to do. It has no state: modules and weights belong to the trainer.

    Args:
        config: the trial's configuration.
    """

    metric: str
    """The name, in a record's history, of the second number that :meth:`loss` returns."""
    evaluates_target: bool = False
    """Whether the target is evaluated and kept, in place of the encoder that is trained."""

    def __init__(self, config: TrialConfig) -> None:
        self.config = config
        self.kind = kind_of(config.objective)

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build the modules behind the encoder, by name, with weights from the global generator.

        Args:
            dim: the dimensions of ``h``.
            classes: the number of classes; 0 where there are no labels.

        Returns:
            ``head``, which maps ``h [N, dim]`` to ``z [N, d]``, and for some objectives ``predictor``, which maps
            ``z [N, d]`` to what is compared with other projections, ``[N, d]``.
        """
        return {"head": ProjectionHead(dim, self.config.head)}

    def target(self, model: nn.ModuleDict, world: World) -> nn.ModuleDict | None:
        """Return the target, with ``encoder`` and ``head``, as it is before the first step; None if there is none.

        Args:
            model: the trainer's modules, on their device.
            world: the processes that train together.
        """
        return momentum_copy(model, world) if self.kind.has_target else None

    def evaluated(self, model: nn.ModuleDict, target: nn.ModuleDict | None) -> tuple[nn.Module, nn.Module]:
        """Return the encoder and the head that are evaluated and kept."""
        return model["encoder"], model["head"]

    def hold(self, model: nn.ModuleDict, epoch: Tensor) -> None:
        """Set the gradients to 0 of the parameters that are not to be trained in ``epoch``.

        Args:
            model: the trainer's modules.
            epoch: int64 ``[]`` on their device, counted from 0. It is compared there, since a CUDA graph may hold the
                comparison.
        """

    def loss(self, projections: Projections, world: World) -> tuple[Tensor, Tensor]:
        """Return this process's shares of the loss and of :attr:`metric`, both scalars; the metric has no gradient.

        The loss of the whole batch is the sum of the shares over the processes, and so is the metric.

        Args:
            projections: this process's part of the batch.
            world: the processes that train together; each has equally many images.
        """
        raise NotImplementedError
