"""Ops on whole channels: leave some out, or exchange them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ablate.ops.op import ANY_CHANNELS, MOST_CHANNELS, Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("channel_drop")
class ChannelDrop(Op):
    """Leave out channels: fill some, but never all, with a constant (albumentations' ``ChannelDropout``).

    Every choice of channels is equally likely. kornia's ``RandomChannelDropout`` leaves out a fixed number of them.
    """

    capturable = True
    channels = ANY_CHANNELS[1:]
    instead = ("cutout", "intensity")

    p: float = param(0.5, "probability that an image loses channels", low=0.0, high=1.0)
    count: tuple[int, int] = param(
        (1, 1), "draws how many channels are left out; one always stays", low=1, high=MOST_CHANNELS - 1, unit="channels"
    )
    fill: float = param(0.0, "value of the channels that are left out", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``count``, int64 ``[n]``, and ``turn``, float ``[n, 32]``: the channels of the smallest are left out."""
        return {
            "count": torch.randint(self.count[0], self.count[1] + 1, (n,), generator=generator, device=device),
            "turn": torch.rand(n, MOST_CHANNELS, generator=generator, device=device),
        }

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``without channel 2`` or ``without channels 1 3``; the first channel is 1."""
        order = _in_order(drawn["turn"])
        left_out = sorted(order[: min(drawn["count"], len(order) - 1)])
        return f"without channel{'s' * (len(left_out) > 1)} {' '.join(map(str, left_out))}"

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Write ``fill`` into the channels that are left out."""
        channels = images.shape[1]
        rank = params["turn"][:, :channels].argsort(1).argsort(1)
        dropped = rank < params["count"].clamp_max(channels - 1)[:, None]
        return images.masked_fill(dropped[:, :, None, None], self.fill)


@register("channel_shuffle")
class ChannelShuffle(Op):
    """Put the channels into a random order, every order equally likely (albumentations' ``ChannelShuffle``).

    One of the orders is the present one. kornia's ``RandomChannelShuffle`` does the same.
    """

    capturable = True
    channels = ANY_CHANNELS[1:]
    instead = ("intensity",)

    p: float = param(0.5, "probability that an image's channels are put into a random order", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``turn``, float ``[n, 32]``: channels stand in the order of the first ones."""
        return {"turn": torch.rand(n, MOST_CHANNELS, generator=generator, device=device)}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``channels 3 1 2``: the channels in their new order; the first channel is 1."""
        return f"channels {' '.join(map(str, _in_order(drawn['turn'])))}"

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return the channels of each image in its order."""
        order = params["turn"][:, : images.shape[1]].argsort(1)
        return images.gather(1, order[:, :, None, None].expand_as(images))


def _in_order(turn: Sequence[float]) -> list[int]:
    """Return the numbers of the channels, from 1, in ascending order of ``turn``."""
    return sorted(range(1, len(turn) + 1), key=lambda number: turn[number - 1])
