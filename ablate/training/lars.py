"""LARS: SGD whose learning rate adapts to every layer (You et al. 2017, as in SimCLR's official code)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ablate.training.eager import EagerOptimizer


class LARS(EagerOptimizer):
    """Layer-wise adaptive rate scaling with classic momentum, without Nesterov's.

    For a matrix or a filter ``w`` with gradient ``g``::

        g = g + weight_decay * w
        ratio = eta * |w| / |g|        (1 where either norm is 0)
        v = momentum * v + lr * ratio * g
        w = w - v

    Vectors and scalars (biases, batch norm) are neither decayed nor adapted: ``g`` is the plain gradient and ``ratio``
    is 1. The learning rate is inside the momentum buffer, so changing it affects later gradients only.

    The update uses multi-tensor ``torch._foreach`` calls over each group and never waits for the device.

    Args:
        params: parameters, or groups of them.
        lr: learning rate > 0, already scaled to the batch size.
        momentum: in [0, 1].
        weight_decay: >= 0; the paper's ImageNet value is 1e-6.
        eta: the trust coefficient > 0.

    Raises:
        ValueError: a value outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        eta: float = 1e-3,
    ) -> None:
        if not (lr > 0 and 0 <= momentum <= 1 and weight_decay >= 0 and eta > 0):
            raise ValueError(
                "LARS needs lr > 0, momentum in [0, 1], weight_decay >= 0 and eta > 0, not "
                f"lr={lr}, momentum={momentum}, weight_decay={weight_decay}, eta={eta}"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, and return the result of ``closure`` if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            present = [p for p in group["params"] if p.grad is not None]
            self._update([p for p in present if p.ndim > 1], group, adapt=True)
            self._update([p for p in present if p.ndim <= 1], group, adapt=False)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any], *, adapt: bool) -> None:
        if not params:
            return
        grads: list[Tensor] = [p.grad for p in params if p.grad is not None]
        if adapt:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
            scaled = torch._foreach_mul(grads, trust_ratios(params, grads, group["eta"]))
            torch._foreach_mul_(scaled, group["lr"])
        else:
            scaled = torch._foreach_mul(grads, group["lr"])
        buffers = [self._buffer(p) for p in params]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, scaled)
        torch._foreach_sub_(params, buffers)

    def _buffer(self, param: Tensor) -> Tensor:
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(param, memory_format=torch.preserve_format)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def trust_ratios(params: list[Tensor], grads: list[Tensor], eta: float) -> tuple[Tensor, ...]:
    """Return ``eta |w| / |g|`` of every tensor as a scalar on its device, 1 where either norm is 0.

    Args:
        params: the tensors w.
        grads: their gradients g.
        eta: the trust coefficient > 0.
    """
    w, g = torch.stack(torch._foreach_norm(params)), torch.stack(torch._foreach_norm(grads))
    return torch.where((w > 0) & (g > 0), eta * w / g, 1.0).unbind()
