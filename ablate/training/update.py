"""The update of a step, once its gradients are known: the weights, the target and the online probe."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ablate.config.trial import TrialConfig
from ablate.distributed import World
from ablate.training.objectives.registry import objective_of
from ablate.training.optim import build_optimiser, changed, held, load
from ablate.training.probe import OnlineProbe
from ablate.training.step import Result
from ablate.training.target import follow


class Update:
    """What a step changes from its gradients.

    The numbers that differ from step to step (learning rates, the pace of the target, the epoch) are tensors on a GPU.
    A CUDA graph that holds the update then takes the numbers of the step that it is replayed for.

    Args:
        config: the trial's configuration.
        model: the trainer's modules, on their device.
        target: the momentum copy of encoder and head, if the objective has one.
        world: the processes that train together.
        probe: the online probe, if one is trained along.
    """

    def __init__(
        self,
        config: TrialConfig,
        model: nn.ModuleDict,
        target: nn.ModuleDict | None,
        world: World,
        probe: OnlineProbe | None,
    ) -> None:
        self.model, self.target, self.world, self.probe = model, target, world, probe
        self.objective, self.optimiser = objective_of(config), build_optimiser(config.optimiser, model)
        device = next(model.parameters()).device
        self.epoch = torch.zeros((), dtype=torch.long, device=device)
        self.pace = held(0.0, device)

    def prepare(self, epoch: int, rate: float, pace: float) -> None:
        """Set the numbers of the next step; on a GPU this does not wait for the device.

        Args:
            epoch: the epoch, from 0.
            rate: the learning rate; groups with a ``scale`` get so many times it.
            pace: the share of the way to the trained weights that the target goes.
        """
        self.epoch.fill_(epoch)
        self.pace = changed(self.pace, pace)
        for group in self.optimiser.param_groups:
            group["lr"] = changed(group["lr"], rate * group.get("scale", 1.0))

    def __call__(self, result: Result) -> None:
        """Update everything from the gradients that are set, and the probe from ``result``."""
        # Losses are shares, so gradients are summed, not averaged. A foreign encoder may have parameters that take no
        # part in its output, and these have no gradient.
        self.world.sum_([p.grad for p in self.model.parameters() if p.grad is not None])
        self.objective.hold(self.model, self.epoch)
        self.optimiser.step()
        if self.target is not None:
            follow(self.target, self.model, self.pace)
        # The probe gets the representations of the step, which cost nothing more, and one label for each of the views.
        if self.probe is not None:
            self.probe.update(result.h, result.labels.repeat(len(result.h) // len(result.labels)), self.world)

    def state(self) -> dict[str, Any]:
        """Return the states of optimiser and probe for a checkpoint, tensors and plain values only."""
        return {"optimiser": self.optimiser.state_dict(), "probe": self.probe.state() if self.probe else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` returned; training that began without a probe goes on without."""
        load(self.optimiser, state["optimiser"])
        # A probe that joined later would have fewer steps than those of other cells, and could not be compared.
        if self.probe and state["probe"]:
            self.probe.restore(state["probe"])
        else:
            self.probe = None
