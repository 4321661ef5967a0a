"""The boxes of random resized crops, drawn as torchvision does or as TensorFlow does for the official code."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ablate.config.trial import COVERED

TORCHVISION_ATTEMPTS = 10  # how often a box that does not fit is drawn again
TENSORFLOW_ATTEMPTS = 100  # google-research/simclr, data_util.py: max_attempts

Box = tuple[Tensor, Tensor, Tensor, Tensor]
Range = tuple[float, float]


def torchvision_boxes(uniform: Tensor, high: Tensor, wide: Tensor, area: Range, ratio: Range) -> Box:
    """Draw boxes as torchvision's ``RandomResizedCrop.get_params`` does.

    The area is uniform and the ratio log-uniform. Both are drawn up to ten times until the box fits; if none fits, the
    box is the largest centred one of the nearest allowed ratio.

    Args:
        uniform: numbers in [0, 1), ``[22, n]``: all attempts are drawn at once.
        high: heights of the images in pixels, float ``[n]``.
        wide: widths of the images in pixels, float ``[n]``.
        area: smallest and largest area, as shares of the image.
        ratio: smallest and largest width / height, in pixels.

    Returns:
        top, left, height and width in whole pixels, float ``[n]``.
    """
    n = TORCHVISION_ATTEMPTS
    low, span = math.log(ratio[0]), math.log(ratio[1]) - math.log(ratio[0])
    areas = (area[0] + (area[1] - area[0]) * uniform[:n]) * high * wide
    ratios = (low + span * uniform[n : 2 * n]).exp()
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    fits = (widths > 0) & (widths <= wide) & (heights > 0) & (heights <= high)
    height, width, none_fits = _first(fits, heights, widths)
    width = torch.where(none_fits, torch.minimum(wide, (high * ratio[1]).round().clamp_min(1)), width)
    height = torch.where(none_fits, torch.minimum(high, (wide / ratio[0]).round().clamp_min(1)), height)
    top = torch.where(none_fits, (high - height) / 2, uniform[-2] * (high - height + 1)).floor()
    left = torch.where(none_fits, (wide - width) / 2, uniform[-1] * (wide - width + 1)).floor()
    return top, left, height, width


def tensorflow_boxes(uniform: Tensor, high: Tensor, wide: Tensor, area: Range, ratio: Range) -> Box:
    """Draw boxes as the official code does, by TensorFlow's ``sample_distorted_bounding_box``.

    The ratio is uniform. The *height* is then uniform between the heights that the smallest and the largest area give
    at this ratio, but no larger than fits; the width follows. If a box's area is out of range or below a tenth of the
    image (the official code's ``min_object_covered``), the box is drawn again, up to a hundred times; after that it is
    the whole image. The last row and the last column of positions are never drawn, as in TensorFlow. Source:
    google-research/simclr, ``data_util.py``; tensorflow, ``sample_distorted_bounding_box_op.cc``,
    ``GenerateRandomCrop``.

    Args:
        uniform: numbers in [0, 1), ``[202, n]``: all attempts are drawn at once.
        high: as in :func:`torchvision_boxes`.
        wide: as in :func:`torchvision_boxes`.
        area: as in :func:`torchvision_boxes`.
        ratio: as in :func:`torchvision_boxes`.

    Returns:
        top, left, height and width in whole pixels, float ``[n]``.
    """
    n = TENSORFLOW_ATTEMPTS
    aspect = ratio[0] + (ratio[1] - ratio[0]) * uniform[:n]
    least, most = area[0] * wide * high, area[1] * wide * high
    lowest, highest = (least / aspect).sqrt().round(), (most / aspect).sqrt().round()
    highest = torch.where((highest * aspect).round() > wide, ((wide + 0.5) / aspect).floor(), highest)
    highest = torch.minimum(highest, high)
    lowest = torch.minimum(lowest, highest)
    heights = lowest + (uniform[n : 2 * n] * (highest - lowest + 1)).floor()
    heights = torch.where((heights * aspect).round() * heights < least, heights + 1, heights)
    heights = torch.where((heights * aspect).round() * heights > most, heights - 1, heights)
    widths = (heights * aspect).round()
    sizes = widths * heights
    fits = (sizes >= least) & (sizes <= most) & (widths <= wide) & (heights <= high) & (widths > 0) & (heights > 0)
    height, width, none_fits = _first(fits & (sizes >= COVERED * wide * high), heights, widths)
    height, width = torch.where(none_fits, high, height), torch.where(none_fits, wide, width)
    return (uniform[-2] * (high - height)).floor(), (uniform[-1] * (wide - width)).floor(), height, width


def _first(fits: Tensor, heights: Tensor, widths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return height and width of the first attempt that ``fits`` (bool ``[attempts, n]``), and where none fits."""
    first = fits.to(torch.uint8).argmax(0, keepdim=True)  # 0 if none fits
    return heights.gather(0, first)[0], widths.gather(0, first)[0], ~fits.any(0)
