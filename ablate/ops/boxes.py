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
    # Heights and widths go together from here on: on a GPU every operation is a kernel of its own.
    whole = torch.stack([high, wide])
    sides = torch.stack([areas / ratios, areas * ratios], 1).sqrt().round()
    fits = ((sides > 0) & (sides <= whole)).all(1)
    first = _first(fits)[:, None].expand(1, 2, -1)
    none_fits = ~fits.any(0)
    largest = torch.minimum(whole, torch.stack([wide / ratio[0], high * ratio[1]]).round().clamp_min(1))
    side = torch.where(none_fits, largest, sides.gather(0, first)[0])
    room = whole - side
    start = torch.where(none_fits, room / 2, uniform[-2:] * (room + 1)).floor()
    return start[0], start[1], side[0], side[1]


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
    fits = fits & (sizes >= COVERED * wide * high)
    first, none_fits = _first(fits), ~fits.any(0)
    height = torch.where(none_fits, high, heights.gather(0, first)[0])
    width = torch.where(none_fits, wide, widths.gather(0, first)[0])
    return (uniform[-2] * (high - height)).floor(), (uniform[-1] * (wide - width)).floor(), height, width


def _first(fits: Tensor) -> Tensor:
    """Return the first attempt that ``fits`` (bool ``[attempts, n]``), int64 ``[1, n]``; 0 where none fits."""
    return fits.to(torch.uint8).argmax(0, keepdim=True)
