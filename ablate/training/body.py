"""The base class of encoders: it normalises their input, and keeps parts of them as they were given."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.config.encoder import Encoder, Normalization

WRAPPER = "net."
"""The attribute of encoders that holds torchvision's or timm's module; files have the names without it."""


class Body(nn.Module):
    """An encoder, from float ``[N, c, H, W]`` in [0, 1] to ``h [N, dim]``.

    Subclasses give their input to :attr:`normalise` first. Its buffers are no part of the state dict: the numbers stand
    in the configuration.

    Args:
        config: the encoder's configuration.
    """

    dim: int

    def __init__(self, config: Encoder) -> None:
        super().__init__()
        self.normalise = Normalise(config.normalize) if config.normalize else nn.Identity()
        self.keeps_statistics = config.frozen_statistics
        self.frozen: frozenset[str] = frozenset()

    def freeze(self, names: Collection[str]) -> None:
        """Train the parameters of these names no more, nor the running statistics of modules that have no others."""
        self.frozen = frozenset(names)
        for name, parameter in self.named_parameters():
            if name in self.frozen:
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules; what is kept as it was given stays in evaluation mode."""
        super().train(mode)
        # Looked up at every call: a batch norm may have been replaced by one over several processes.
        for module in self._kept() if mode else ():
            module.eval()
        return self

    def _kept(self) -> Iterator[nn.Module]:
        for name, module in self.named_modules():
            inside = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
            is_frozen = bool(name and inside) and self.frozen.issuperset(inside)
            if is_frozen or (self.keeps_statistics and isinstance(module, _BatchNorm)):
                yield module


class Normalise(nn.Module):
    """``(x - mean) / std`` for each channel of ``[N, c, H, W]``."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Normalization) -> None:
        super().__init__()
        for name in ("mean", "std"):
            values = torch.tensor(getattr(config, name))
            self.register_buffer(name, values.view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised images."""
        return (x - self.mean) / self.std
