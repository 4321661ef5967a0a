"""Build encoders f(x) from their configuration."""

from __future__ import annotations

from ablate.config.encoder import Encoder
from ablate.config.trial import SMALL_IMAGE
from ablate.training.body import Body
from ablate.training.foreign import ForeignEncoder
from ablate.training.resnets import ResNet8, TorchvisionResNet, zero_init_residual
from ablate.training.stages import first_stages


def build_encoder(config: Encoder, image_size: int, channels: int = 3) -> Body:
    """Build the encoder, which maps float ``[N, channels, image_size, image_size]`` to pooled ``h [N, dim]``.

    Initial weights come from the global generator; torchvision's ResNets have He's initialisation (fan out).

    Raises:
        UsageError: a ``timm:`` or ``module:function`` encoder cannot be built; see :mod:`ablate.training.foreign`;
            or so many of its stages cannot be frozen.
    """
    if config.is_foreign:
        encoder: Body = ForeignEncoder(config, image_size, channels)
    elif config.name == "resnet8":
        encoder = ResNet8(config, channels=channels)
    else:
        encoder = TorchvisionResNet(config, channels=channels, small_image=image_size <= SMALL_IMAGE)
    if config.zero_init_residual:
        zero_init_residual(encoder)
    if config.frozen_stages:
        encoder.freeze(first_stages(encoder, config))
    return encoder
