"""Encoders f(x), by their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.config.trial import SMALL_IMAGE, Encoder
from ablate.simclr.foreign import ForeignEncoder

if TYPE_CHECKING:
    from ablate.simclr.resnets import ResNet8, TorchvisionResNet


def build_encoder(config: Encoder, image_size: int) -> ResNet8 | TorchvisionResNet | ForeignEncoder:
    """The encoder: float ``[N, 3, image_size, image_size]`` -> ``h [N, dim]``, pooled.

    Initial weights come from the global generator; torchvision's ResNets have He's initialisation (fan out).

    Raises:
        UsageError: a ``timm:`` or ``module:function`` encoder that cannot be built; see :mod:`ablate.simclr.foreign`.
    """
    if config.is_foreign:
        return ForeignEncoder(config, image_size)
    from ablate.simclr import resnets  # torchvision takes a second: when it is needed

    if config.name == "resnet8":
        encoder: ResNet8 | TorchvisionResNet = resnets.ResNet8(config.width)
    else:
        encoder = resnets.TorchvisionResNet(config, small_image=image_size <= SMALL_IMAGE)
    if config.zero_init_residual:
        resnets.zero_init_residual(encoder)
    return encoder
