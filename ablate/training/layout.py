"""The layout and the type of the views that an encoder is given, into which they are written once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ablate.config.trial import TrialConfig


def memory_format(config: TrialConfig) -> torch.memory_format:
    """Return the configured layout of activations and weights."""
    return torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format


def view_dtype(config: TrialConfig, encoder: nn.Module) -> torch.dtype:
    """Return the type in which the first layer of ``encoder`` takes views.

    It is that of the weights or, under bfloat16 autocast, bfloat16 for our encoders: they begin with a convolution, for
    which autocast would copy the views into bfloat16. It stays that of the weights where views are normalised first, in
    float32, and for foreign encoders, whose first layer is not known.
    """
    own = next(encoder.parameters()).dtype
    rounded = config.precision == "bfloat16" and not config.encoder.normalize and not config.encoder.is_foreign
    return torch.bfloat16 if rounded and own == torch.float32 else own


def joined(views: Sequence[Tensor], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Return ``views``, each ``[n, c, h, w]``, one after the other in one tensor of this type and layout."""
    if len(views) == 1:
        return views[0].to(dtype).contiguous(memory_format=layout)
    shape = (sum(map(len, views)), *views[0].shape[1:])
    together = torch.empty(shape, dtype=dtype, device=views[0].device, memory_format=layout)
    for part, view in zip(together.split([len(view) for view in views]), views, strict=True):
        part.copy_(view)  # in one pass; torch.cat would write them once more before they change type and layout
    return together
