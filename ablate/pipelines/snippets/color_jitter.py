"""The colour jitter for kornia, which draws one order of the steps for the whole batch; see the package."""

from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor


class ColorJitter(K.ColorJitter):
    """kornia's, but for the order of the four steps: it is drawn for each image, not for each batch."""

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """The factors, [N] each, and ``order`` [N, 4]."""
        return {**super().generate_parameters(batch_shape), "order": torch.rand(batch_shape[0], 4).argsort(1)}

    def apply_transform(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        """The images of one order at a time."""
        output, factors = torch.empty_like(input), [name for name in params if name.endswith("_factor")]
        for order in params["order"].unique(dim=0):
            chosen = (params["order"] == order).all(1)
            part = {"order": order, **{name: params[name][chosen] for name in factors}}
            output[chosen] = super().apply_transform(input[chosen], part, flags, transform)
        return output
