"""Adapt given tensors to an encoder: the first convolution to its channels, and positions to its image size."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

RGB = 3


@dataclass(frozen=True)
class Adapted:
    """A tensor in the encoder's shape and type, and a sentence on how it was changed; empty if it was not."""

    tensor: Tensor
    change: str = ""


def adapted(name: str, given: Tensor, wanted: Tensor, encoder: nn.Module) -> Adapted | None:
    """Return ``given`` as the encoder takes it, or None if it cannot be adapted.

    Args:
        name: the tensor's name.
        given: the tensor of a file.
        wanted: the tensor of the encoder, of which only shape and type are used.
        encoder: the encoder.
    """
    if given.shape == wanted.shape:
        return Adapted(given.to(wanted.dtype))
    if _are_first_filters(name, given, wanted, encoder):
        channels = wanted.shape[1]
        how = "summed to 1" if channels == 1 else f"repeated to {channels} and multiplied by {RGB}/{channels}"
        return Adapted(to_channels(given.float(), channels).to(wanted.dtype), f"{name}: its 3 channels are {how}")
    if name == "pos_embed" and given.ndim == wanted.ndim == 3:
        return _positions(given, wanted, getattr(encoder, "net", encoder))
    return None


def unfit(given: Tensor, wanted: Tensor) -> str:
    """Return the kind of a tensor that no tensor of an encoder can be, whatever its shape; empty if it can be loaded.

    Args:
        given: the tensor of a file.
        wanted: the tensor of the encoder, of which only the type is used.
    """
    if given.is_quantized:
        return "quantised"
    if given.layout != torch.strided:
        return "sparse"
    if given.is_meta:
        return "without numbers"
    if given.is_floating_point() != wanted.is_floating_point() or given.is_complex():
        return str(given.dtype).removeprefix("torch.")
    return ""


def to_channels(filters: Tensor, channels: int) -> Tensor:
    """Return filters for RGB as filters for another number of channels, by timm's rule (``adapt_input_conv``).

    For one channel, the three are summed, so grey images give what they gave as RGB. For more, they are repeated in
    order, and multiplied by ``3 / channels`` so that sums over all channels stay as large.

    Args:
        filters: float ``[o, 3, k, k]``.
        channels: the number of channels, not 3.
    """
    if channels == 1:
        return filters.sum(1, keepdim=True)
    repeated = filters.repeat(1, -(-channels // RGB), 1, 1)[:, :channels]
    return repeated * (RGB / channels)


def _are_first_filters(name: str, given: Tensor, wanted: Tensor, encoder: nn.Module) -> bool:
    """Return True if both are the filters of the first convolution, and only their input channels differ."""
    filters = [key for key, value in encoder.state_dict().items() if value.ndim == 4]
    is_first = bool(filters) and filters[0] in {name, f"net.{name}"}
    others = [given.shape[:1] + given.shape[2:], wanted.shape[:1] + wanted.shape[2:]]
    return is_first and given.ndim == wanted.ndim and given.shape[1] == RGB and others[0] == others[1]


def _positions(given: Tensor, wanted: Tensor, net: Any) -> Adapted | None:
    """Resample a table of positions ``[1, n, d]`` as timm does: bicubic, antialiased, prefix tokens unchanged."""
    grid, prefix = getattr(getattr(net, "patch_embed", None), "grid_size", None), getattr(net, "num_prefix_tokens", 0)
    if grid is None or given.shape[2] != wanted.shape[2]:
        return None
    if getattr(net, "no_embed_class", False):
        prefix = 0  # timm keeps no positions for the class token then
    side = round((given.shape[1] - prefix) ** 0.5)
    if side * side + prefix != given.shape[1] or grid[0] * grid[1] + prefix != wanted.shape[1]:
        return None
    resample = importlib.import_module("timm.layers").resample_abs_pos_embed
    with torch.no_grad():
        table = resample(given.float(), new_size=list(grid), num_prefix_tokens=prefix)
    change = f"pos_embed: its {side} x {side} positions are resampled to {grid[0]} x {grid[1]}, as timm does"
    return Adapted(table.to(wanted.dtype), change)
