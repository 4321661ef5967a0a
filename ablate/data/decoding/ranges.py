"""The range of a set of deep images: samples of their pixels, and the values that become black and white.

Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ablate.config.at_hand import as_option
from ablate.config.reading import Range
from ablate.errors import UsageError

Array = np.ndarray[Any, Any]
SAMPLE = 1 << 20  # pixels per channel, of all training images together
OUTSIDE = 1000  # one in so many pixels lies below the range, and one above
GOLDEN = 0.618


def sample(page: Array, quota: int) -> Array:
    """Return up to ``quota`` pixels of ``[c, h, w]``, spread over it, as ``[c, n]``; the same ones every time."""
    flat = page.reshape(len(page), -1)
    size = flat.shape[1]
    if size <= quota:
        return flat
    step = int(size * GOLDEN)  # an even stride might meet the same columns in every row
    while math.gcd(step, size) > 1:
        step += 1
    return flat[:, np.arange(quota) * step % size]


def spans(pixels: Array) -> tuple[Range, ...]:
    """Return for each channel of ``[c, n]`` the two values outside which one pixel in a thousand lies at either end."""
    beyond = pixels.shape[1] // OUTSIDE
    ordered = np.partition(pixels, (beyond, pixels.shape[1] - 1 - beyond), axis=1)
    return tuple((float(low), float(high)) for low, high in ordered[:, [beyond, -1 - beyond]])


def ranges_of(samples: Sequence[Array]) -> tuple[Range, ...]:
    """Return the range of each channel over the samples ``[c, n]`` of all training images.

    Raises:
        UsageError: a channel has the same value almost everywhere.
    """
    each = spans(np.concatenate(samples, axis=1))
    for number, (low, high) in enumerate(each, 1):
        if low >= high:
            where = f"channel {number} of the training images has" if len(each) > 1 else "the training images have"
            raise UsageError(
                f"{where} the value {low:g} almost everywhere, so that no range is left; "
                f"give the values that become black and white: {as_option('range', '0,4095')}"
            )
    return each


def shown(ranges: Sequence[Range]) -> str:
    """Return ``96..3871``, or the first of several with the number of the others."""
    texts = [f"{_plain(low)}..{_plain(high)}" for low, high in ranges]
    if len(set(texts)) == 1:
        return texts[0]
    return f"{', '.join(texts[:4])}{', ...' if len(texts) > 4 else ''} (channel by channel)"


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
