"""Global batch norm (paper, section 2.2): mean and variance over the images of all processes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.distributed import ALONE, World, summed
from ablate.errors import UsageError

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class GlobalBatchNorm(_BatchNorm):
    """A ``SyncBatchNorm`` for any device, not only CUDA: the moments come from two differentiable sums over the ranks.

    Every rank must hold equally many values per channel. Parameters, buffers and names are those of the batch norm that
    it replaces.
    """

    world: World

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [N, C, ...], not {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the moments of all ranks' ``input`` in training, and by the running moments otherwise."""
        if not self.training:
            return super().forward(input)
        x = input.float() if input.dtype in {torch.float16, torch.bfloat16} else input
        others = [d for d in range(x.ndim) if d != 1]
        per_channel = [1, -1, *[1] * (x.ndim - 2)]
        mean = summed(x.mean(others), self.world) / self.world.size
        centred = x - mean.view(per_channel)
        variance = summed(centred.square().mean(others), self.world) / self.world.size
        count = x.numel() // x.shape[1] * self.world.size
        self._update(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(per_channel)
        if self.affine:
            normal = normal * self.weight.view(per_channel) + self.bias.view(per_channel)
        return normal.to(input.dtype)

    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(variance.to(self.running_var.dtype), weight)


def make_global(module: nn.Module, world: World, device: torch.device) -> None:
    """Replace the batch norms inside ``module`` by ones over all ranks: SyncBatchNorm on CUDA, ours elsewhere.

    Args:
        module: the module to change in place.
        world: the processes that train together; nothing changes if there is only one.
        device: the device of the module.

    Raises:
        UsageError: a batch norm is of a subclass that does more than normalise (timm's contain activations).
    """
    if world.size == 1:
        return
    for name, child in module.named_children():
        if not isinstance(child, _BatchNorm):
            make_global(child, world, device)
        elif type(child) not in PLAIN:
            raise UsageError(
                f"this encoder's {type(child).__name__} does more than batch norm, so it cannot span several "
                "processes; train it in one"
            )
        elif device.type == "cuda":
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            setattr(module, name, _converted(child, world))


def alone(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` that one process can train while the others of its world wait."""
    worlds = {id(norm.world): norm.world for norm in module.modules() if isinstance(norm, GlobalBatchNorm)}
    copied = copy.deepcopy(module, worlds)  # a world's connections cannot be copied, so it stays the same object
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, GlobalBatchNorm | nn.SyncBatchNorm):
                setattr(parent, name, _converted(child, ALONE))
    return copied


def _converted(norm: _BatchNorm, world: World) -> GlobalBatchNorm:
    ours = GlobalBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    ours.world = world
    ours.weight, ours.bias = norm.weight, norm.bias
    ours.running_mean, ours.running_var = norm.running_mean, norm.running_var
    ours.num_batches_tracked = norm.num_batches_tracked
    return ours


def has_statistics(module: nn.Module) -> bool:
    """Return True if ``module`` has batch norms with running statistics."""
    return any(isinstance(m, _BatchNorm) and m.track_running_stats for m in module.modules())


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of all batch norms in ``module`` unchanged while the context is open.

    In training mode they still normalise as usual.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
