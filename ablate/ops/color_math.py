"""Brightness, contrast, saturation and hue of a batch, with per-image factors and a per-image order."""

from __future__ import annotations

import torch
from torch import Tensor

HUE = 3  # steps are numbered brightness 0, contrast 1, saturation 2, hue 3


def grayscale(images: Tensor) -> Tensor:
    """Luma of ``[n, 3, h, w]`` with torchvision's weights, ``[n, 1, h, w]``."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn each image's hue by ``shift [n]`` (fraction of the circle), without going through HSV.

    With ``h`` the hue in [0, 6), channel c becomes ``max - (max - min) * clip(min(k, 4 - k), 0, 1)`` where
    ``k = (n_c + h + 6 shift) mod 6`` and ``n = (5, 3, 1)``: the hexcone model, a third of the work of kornia's
    ``adjust_hue`` and equal to it and to torchvision's to 1e-5.
    """
    red, green, blue = images.unbind(1)
    high, low = images.amax(1), images.amin(1)
    chroma = high - low
    safe = torch.where(chroma == 0, 1, chroma)
    hue = torch.where(
        high == red,
        (green - blue) / safe,
        torch.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = hue + 6 * shift[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        k = torch.remainder(turned + offset, 6)
        channels.append(high - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, 1)


def jitter(images: Tensor, factors: Tensor, order: Tensor, active: Tensor) -> Tensor:
    """Apply the four steps to the images that are ``active``, each image in its own order.

    Args:
        images: float ``[n, 3, h, w]`` in [0, 1].
        factors: ``[n, 4]``: brightness, contrast and saturation factors, hue shift.
        order: int ``[n, 4]``: ``order[i, s]`` is the step that image i takes in slot s.
        active: bool ``[n]``.

    On the CPU each slot touches only the images that take a step there; on CUDA, where such a gather would wait for
    the device, every slot computes all steps and selects.
    """
    apply = jitter_gathered if images.device.type == "cpu" else jitter_selected
    return apply(images, factors.to(images.dtype), order, active)


def jitter_gathered(images: Tensor, factors: Tensor, order: Tensor, active: Tensor) -> Tensor:
    """:func:`jitter` with data-dependent shapes."""
    images = images.clone()
    for slot in range(4):
        for step in range(4):
            chosen = (active & (order[:, slot] == step)).nonzero()[:, 0]
            if len(chosen):
                images[chosen] = _one_step(images[chosen], step, factors[chosen, step])
    return images


def jitter_selected(images: Tensor, factors: Tensor, order: Tensor, active: Tensor) -> Tensor:
    """:func:`jitter` without waiting for the device."""
    for slot in range(4):
        taken = order[:, slot]
        factor = factors.gather(1, taken[:, None])[:, 0]
        images = torch.where(active[:, None, None, None], _any_step(images, taken, factor), images)
    return images


def _one_step(images: Tensor, step: int, factor: Tensor) -> Tensor:
    if step == HUE:
        return shift_hue(images, factor)
    factor = factor[:, None, None, None]
    if step == 0:
        return (images * factor).clamp_(0, 1)
    gray = grayscale(images)
    other = gray.mean((2, 3), keepdim=True) if step == 1 else gray
    return torch.lerp(other.expand_as(images), images, factor).clamp_(0, 1)


def _any_step(images: Tensor, step: Tensor, factor: Tensor) -> Tensor:
    """The first three steps are ``clamp(factor * x + (1 - factor) * other)``: black, mean gray or gray."""
    step, wide = step[:, None, None, None], factor[:, None, None, None]
    gray = grayscale(images)
    other = torch.where(step == 1, gray.mean((2, 3), keepdim=True), gray) * (step != 0)
    blended = torch.lerp(other.expand_as(images), images, wide).clamp(0, 1)
    return torch.where(step == HUE, shift_hue(images, factor), blended)
