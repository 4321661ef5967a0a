"""The channels of an image in colours that a screen can show. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ablate.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "yellow": (1, 1, 0),
}
PAIR = ("green", "magenta")  # which also people who confuse red and green can tell apart


def visible(images: Tensor, chosen: Sequence[int] = ()) -> Tensor:
    """Return images as red, green and blue, float ``[n, 3, h, w]`` in [0, 1].

    One channel becomes grey, and three stay as they are. Two, or four to six, are added in the colours that
    :func:`in_words` names; where all of them are 1, the picture is white. Of more channels, the first three are shown.

    Args:
        images: float ``[n, c, h, w]`` in [0, 1].
        chosen: numbers of three channels, from 1, to show as red, green and blue instead.
    """
    channels = images.shape[1]
    if chosen:
        return images[:, [number - 1 for number in chosen]]
    if channels == 1:
        return images.expand(-1, 3, -1, -1)
    if channels == 3 or channels > len(COLOURS):
        return images[:, :3]
    import torch

    return torch.einsum("nchw,ck->nkhw", images, images.new_tensor(mixture(channels)))


def mixture(channels: int) -> list[list[float]]:
    """Return the share of red, green and blue in which :func:`visible` shows each channel, ``[channels, 3]``."""
    if channels == 1:
        return [[1.0, 1.0, 1.0]]
    if channels == 3 or channels > len(COLOURS):
        return [[float(channel == colour) for colour in range(3)] for channel in range(channels)]
    weights = [COLOURS[name] for name in _names(channels)]
    return [[share / sum(others) for share, *others in zip(row, *weights, strict=True)] for row in weights]


def in_words(channels: int, chosen: Sequence[int] = ()) -> str:
    """Return how :func:`visible` shows that many channels; an empty text for grey and RGB."""
    if chosen:
        return f"channels {chosen[0]}, {chosen[1]} and {chosen[2]} of {channels} as red, green and blue"
    if channels in {1, 3}:
        return ""
    if channels > len(COLOURS):
        return f"channels 1, 2 and 3 of {channels} as red, green and blue"
    named = [f"{number} in {name}" for number, name in enumerate(_names(channels), 1)]
    return f"channels {', '.join(named[:-1])} and {named[-1]}"


def parse_channels(text: str, channels: int) -> tuple[int, ...]:
    """Return the three channel numbers in text such as ``4,3,2``.

    Args:
        text: the numbers, from 1.
        channels: how many channels the images have.

    Raises:
        UsageError: it is anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and 1 <= int(part) <= channels for part in parts):
        raise UsageError(
            f"--show takes three channels of 1 to {channels}, for red, green and blue, such as 1,1,1; not {text!r}"
        )
    return tuple(map(int, parts))


def _names(channels: int) -> tuple[str, ...]:
    return PAIR if channels == 2 else tuple(COLOURS)[:channels]
