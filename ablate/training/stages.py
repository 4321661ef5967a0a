"""The stages of an encoder, from its input to its output, of which the first may stay as they were given."""

from __future__ import annotations

from ablate.config.encoder import Encoder
from ablate.errors import UsageError
from ablate.training.body import Body
from ablate.training.foreign import timm_stages

STAGES = {"resnet8": ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")}
"""The names of the parts of ResNet8."""
RESNET = (("net.conv1.", "net.bn1."), "net.layer1.", "net.layer2.", "net.layer3.", "net.layer4.")
"""The names of the parts of torchvision's ResNets; the first stage is the stem."""


def first_stages(encoder: Body, config: Encoder) -> list[str]:
    """Return the names of the parameters of the first ``config.frozen_stages`` stages.

    A ResNet's stages are the stem and its groups of blocks. Those of timm's encoders are the layers in which timm
    groups their parameters, for a transformer the embeddings and each of its blocks.

    Raises:
        UsageError: the encoder's stages are not known, or none would be left to train.
    """
    stages = _stages(encoder, config)
    if not stages:
        raise UsageError(
            f"the stages of encoder {config.name} are not known, so none can be frozen: freeze its parameters in its "
            "own code, by requires_grad_(False)"
        )
    count = config.frozen_stages
    if count >= len(stages):
        raise UsageError(
            f"encoder {config.name} has {len(stages)} stages, of which the last has to be trained: at most "
            f"{len(stages) - 1} can be frozen, not {count}"
        )
    return [name for stage in stages[:count] for name in stage]


def _stages(encoder: Body, config: Encoder) -> list[list[str]]:
    if config.name.startswith("timm:"):
        return [[f"net.{name}" for name in stage] for stage in timm_stages(encoder.net)]  # type: ignore[arg-type]
    if config.is_foreign:
        return []
    names = [name for name, _ in encoder.named_parameters()]
    return [[name for name in names if name.startswith(start)] for start in STAGES.get(config.name, RESNET)]
