"""Jitter of the stains of histology: haematoxylin, eosin and DAB."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.ops.op import Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register

# Optical densities of red, green and blue by stain (Ruifrok & Johnston 2001, as in scikit-image), and their inverse.
RGB_OF_STAIN = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
STAIN_OF_RGB: list[list[float]] = np.linalg.inv(RGB_OF_STAIN).tolist()
DARKEST = math.log(1e-6)  # the logarithm of black, as in scikit-image: the unit of amounts of stain


@register("stain")
class Stain(Op):
    """Change the amounts of haematoxylin, eosin and DAB in an RGB image, each by a factor and an addend.

    This is the H&E jitter of Tellez et al. (2018, "HED-light" to "HED-strong"); the ranges are ours. Amounts are those
    of scikit-image's ``rgb2hed``, except that negative ones, which no mixture of the stains has, are kept, so that
    small draws change any image little.
    """

    capturable = True
    channels = (3,)
    instead = ("intensity",)

    p: float = param(0.8, "probability that an image is changed", low=0.0, high=1.0)
    scale: float = param(0.2, "draws the factor of each stain from 1 +- this", low=0.0, high=1.0)
    shift: float = param(
        0.02, "draws the addend of each stain from +- this", low=0.0, high=1.0, unit="of rgb2hed's amounts"
    )
    strength: float = param(1.0, "scales both ranges", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``scale`` and ``shift`` of the three stains, float ``[n, 3]``."""
        spread = (2 * torch.rand(2, n, 3, generator=generator, device=device) - 1) * self.strength
        return {"scale": 1 + spread[0] * self.scale, "shift": spread[1] * self.shift}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say factor and addend of each stain: ``H 1.1 +0.01, E 0.9 -0.02, D 1.0 +0.003``."""
        said = []
        for name, scale, shift in zip("HED", drawn["scale"], drawn["shift"], strict=True):
            said.append(f"{name} {short(scale)} {'-' if shift < 0 else '+'}{short(abs(shift))}")
        return ", ".join(said)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Mix the logarithms of red, green and blue by one 3 x 3 matrix per image.

        The matrix is computed from Python's numbers, since constants would be copied to the device, and applied channel
        by channel, since a matrix product may be rounded to TF32.
        """
        scale, shift = (params[name].to(images.dtype)[:, :, None, None].unbind(1) for name in ("scale", "shift"))
        logs = images.clamp_min(math.exp(DARKEST)).log().unbind(1)
        changed = []
        for out in range(3):
            mixed = torch.zeros_like(logs[0])
            for k in range(3):
                mixed += shift[k] * (DARKEST * RGB_OF_STAIN[k][out])
            for i in range(3):
                share = torch.zeros_like(scale[0])
                for k in range(3):
                    share += scale[k] * (STAIN_OF_RGB[i][k] * RGB_OF_STAIN[k][out])
                mixed += share * logs[i]
            changed.append(mixed)
        return torch.stack(changed, 1).exp_().clamp_(0, 1)
