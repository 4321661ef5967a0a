"""Brightness, contrast, saturation and hue of a batch, with per-image factors and a per-image order.

``impl`` chooses the formulas: ``torchvision`` has torchvision's; ``tf`` those of ``tf.image``, which the official code
calls; ``tf-v1`` the same with brightness added, as in the code's first version, which made the paper's results.
"""

from __future__ import annotations

import torch
from torch import Tensor

HUE = 3  # the number of the step hue; brightness is 0, contrast 1, saturation 2


def grayscale(images: Tensor) -> Tensor:
    """Return the luma of ``[n, 3, h, w]`` with torchvision's weights, ``[n, 1, h, w]``."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn each image's hue by ``shift [n]`` (fraction of the circle), without going through HSV.

    With ``h`` the hue in [0, 6), channel c becomes ``max - (max - min) * clip(min(k, 4 - k), 0, 1)`` where
    ``k = (n_c + h + 6 shift) mod 6`` and ``n = (5, 3, 1)``. This is the hexcone model; it takes a third of the work of
    kornia's ``adjust_hue``, and equals it and torchvision's to 1e-5.
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


def distort(
    images: Tensor, factors: Tensor, order: Tensor, active: Tensor, gray: Tensor, impl: str = "torchvision"
) -> Tensor:
    """Apply the four jitter steps to the ``active`` images, each in its own order, then grayscale to ``gray`` ones.

    On a CPU, torchvision's formulas are one compiled loop per image (:mod:`ablate.ops.cpu.color`). Here every step is
    computed for all images and then selected, since gathering the images of a step would wait for the device. Hue, the
    costly step, is computed once: after the other steps of the images that have them before it, and before the other
    steps of the images that have them after it.

    Args:
        images: float ``[n, 3, h, w]`` in [0, 1].
        factors: ``[n, 4]``: brightness, contrast and saturation factors, hue shift; with ``tf-v1`` the first is added.
        order: int ``[n, 4]``: ``order[i, s]`` is the step that image i takes in slot s.
        active: bool ``[n]``.
        gray: bool ``[n]``.
        impl: ``torchvision``, ``tf`` or ``tf-v1``.

    Returns:
        float ``[n, 3, h, w]`` in [0, 1].
    """
    factors, rank = factors.to(images.dtype), order.argsort(1)
    for slot in (0, 1, 2):
        images = _step(images, factors, order[:, slot], active & (slot < rank[:, HUE]), impl)
    images = torch.where(active[:, None, None, None], shift_hue(images, factors[:, HUE]), images)
    for slot in (1, 2, 3):
        images = _step(images, factors, order[:, slot], active & (slot > rank[:, HUE]), impl)
    return torch.where(gray[:, None, None, None], grayscale(images), images)


def _step(images: Tensor, factors: Tensor, step: Tensor, taken: Tensor, impl: str) -> Tensor:
    """Apply each image's ``step`` (int ``[n]``, one of the first three) to the images ``taken``; clip to [0, 1]."""
    factor = factors.gather(1, step[:, None])[:, :, None, None]
    change = _torchvision if impl == "torchvision" else _tensorflow
    changed = change(images, factor, step[:, None, None, None], impl == "tf-v1").clamp(0, 1)
    return torch.where(taken[:, None, None, None], changed, images)


def _torchvision(images: Tensor, factor: Tensor, step: Tensor, added: bool) -> Tensor:
    """Return ``factor * x + (1 - factor) * other``.

    ``other`` is black (brightness), the mean gray (contrast) or gray (saturation).
    """
    gray = grayscale(images)
    other = torch.where(step == 1, gray.mean((2, 3), keepdim=True), gray) * (step != 0)
    return torch.lerp(other.expand_as(images), images, factor)


def _tensorflow(images: Tensor, factor: Tensor, step: Tensor, added: bool) -> Tensor:
    """Apply the steps of google-research/simclr, ``data_util.py``: brightness times ``factor``, or ``added`` to it.

    Contrast scales around each channel's own mean (``tf.image.adjust_contrast``). Saturation multiplies S of HSV, up to
    1 at most, and keeps hue and V (``tf.image.adjust_saturation``). It multiplies every channel's distance from the
    largest channel, since S is the largest of these distances as a share of V.
    """
    brightness = images + factor if added else images * factor
    mean, high = images.mean((2, 3), keepdim=True), images.amax(1, keepdim=True)
    chroma = high - images.amin(1, keepdim=True)
    most = high / torch.where(chroma == 0, 1, chroma)  # the factor that brings S to 1
    saturation = high - (high - images) * torch.minimum(factor, most)
    return torch.where(step == 0, brightness, torch.where(step == 1, torch.lerp(mean, images, factor), saturation))
