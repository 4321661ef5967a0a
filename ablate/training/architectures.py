"""Find the encoder whose weights a file holds, so that a message can name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ablate.config.encoder import RESNETS, WIDTHS, Encoder
from ablate.training.encoder import build_encoder
from ablate.training.matching import best_match

VITS = {192: "tiny", 384: "small", 768: "base", 1024: "large"}
"""timm's names of vision transformers by the length of a token."""


def architecture_of(groups: Mapping[str, Mapping[str, Tensor]], image_size: int) -> str:
    """Return the encoder that takes all tensors of a file but perhaps the stem, as :func:`called`; empty if unknown.

    Args:
        groups: the tensors of the file, see :class:`~ablate.training.weight_file.Weights`.
        image_size: the side of the images in pixels.
    """
    for config in _candidates(groups):
        with torch.device("meta"):
            encoder = build_encoder(config, image_size)
        match = best_match(groups, encoder)
        left = [*match.missing, *match.unexpected, *match.kinds]
        if not left and match.shapes.keys() <= {"conv1.weight", "stem.0.weight"}:
            return called(config)
    return _transformer(groups)


def called(config: Encoder) -> str:
    """Return an encoder as ``--encoder`` takes it: ``resnet50x2``, ``resnet8 --set encoder.width=16``."""
    if config.is_foreign:
        return config.name
    times = config.width // WIDTHS[1]
    own = f" --set encoder.width={config.width}" if config.name == "resnet8" else f"x{times}" * (times > 1)
    return f"{config.name}{own}"


def _candidates(groups: Mapping[str, Mapping[str, Tensor]]) -> Iterator[Encoder]:
    if stem := _ending(groups, "stem.0.weight"):
        yield Encoder(name="resnet8", width=stem[0])
    for name in RESNETS[1:]:
        for width in WIDTHS.values():
            yield Encoder(name=name, width=width)


def _transformer(groups: Mapping[str, Mapping[str, Tensor]]) -> str:
    patch = _ending(groups, "patch_embed.proj.weight")
    if patch is None or len(patch) != 4 or patch[0] not in VITS:
        return ""
    return f"timm:vit_{VITS[patch[0]]}_patch{patch[2]}_224"


def _ending(groups: Mapping[str, Mapping[str, Tensor]], end: str) -> tuple[int, ...] | None:
    """Return the shape of the first tensor whose name has that end, or None."""
    shapes = (value.shape for tensors in groups.values() for name, value in tensors.items() if name.endswith(end))
    return next(map(tuple, shapes), None)
