"""The online probe: a linear classifier trained along with the encoder, behind a stop-gradient.

It sees the same ``h`` as training, that of augmented views in training mode, and costs very little. Since ``h`` changes
during its training, linear evaluation is usually better. The probe affects neither the encoder's gradient nor the
global random state.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.distributed import ALONE, World
from ablate.training.eager import AdamW
from ablate.training.optim import load

LEARNING_RATE = 1e-3


class ZeroLinear(nn.Linear):
    """A linear layer whose initial weights are 0, for which no random numbers are drawn."""

    def reset_parameters(self) -> None:
        """Set weights and bias to 0."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class OnlineProbe:
    """``nn.Linear(dim, classes)``, zero-initialised, with its own AdamW (lr 1e-3, no weight decay; our choice).

    Args:
        dim: dimensions of ``h``.
        classes: number of classes.
        device: the device of ``h``.
    """

    def __init__(self, dim: int, classes: int, device: torch.device) -> None:
        self.linear = ZeroLinear(dim, classes, device=device)
        on_gpu = device.type == "cuda"  # there, a CUDA graph may hold the update
        self.optimiser = AdamW(
            self.linear.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True, capturable=on_gpu
        )

    def update(self, h: Tensor, labels: Tensor, world: World = ALONE) -> None:
        """Take one step on ``h [n, dim]`` (any float dtype; detached here) and ``labels`` int64 ``[n]``.

        Rows with the label -1 are ignored. Both views of a batch go in at once: ``h [2N, dim]`` with
        ``labels.repeat(2)``. The call does not wait for the device.

        Args:
            h: the representations.
            labels: their labels.
            world: the processes that train together; each brings its part of the batch, and all take the same step.
        """
        logits = self.linear(h.detach().float())
        # the mean over labelled rows, written so that a batch without any gives a gradient of 0, not NaN
        count = (labels >= 0).sum()
        world.sum_([count])
        loss = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / count.clamp_min(1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        world.sum_([p.grad for p in self.linear.parameters() if p.grad is not None])
        self.optimiser.step()

    @torch.no_grad()
    def predict(self, h: Tensor) -> Tensor:
        """Return the most probable class of each row of ``h [n, dim]``, int64 ``[n]``."""
        classes: Tensor = self.linear(h.float()).argmax(1)
        return classes

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, tensors and plain values only."""
        return {"linear": self.linear.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` returned."""
        self.linear.load_state_dict(state["linear"])
        load(self.optimiser, state["optimiser"])
