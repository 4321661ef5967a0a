"""How image files are read where a file leaves it open: channels, pages, range, background. Needs no torch."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from ablate.config.base import Model
from ablate.config.option import DROP, GRID, PREVIEW, SEARCH, TRAIN, Option
from ablate.pixels import MOST_CHANNELS

Range = tuple[float, float]
Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
WINDOW: Final = "window"  # the range that all DICOM files of a set state


def _range(value: object) -> object:
    """Return the pair that ``LOW,HIGH`` stands for; other values unchanged.

    Raises:
        ValueError: neither two numbers nor window, or the first is not below the second, or one is not finite.
    """
    pair = value.split(",") if isinstance(value, str) else value
    if value in (None, WINDOW) or not isinstance(pair, list | tuple):
        return value
    try:
        low, high = map(float, pair)
    except (TypeError, ValueError):
        raise ValueError(f"must be LOW,HIGH, as in 0,4095, or {WINDOW}") from None
    if not low < high or math.inf in (-low, high):
        raise ValueError("must be LOW,HIGH with LOW below HIGH, both finite")
    return low, high


EVERY = (GRID, DROP, SEARCH, TRAIN, PREVIEW)
Channels = Annotated[
    int | None,
    Option("Images", default="as many as the files have; 3 for 8-bit grey", commands=EVERY),
    Field(
        ge=1,
        le=MOST_CHANNELS,
        description="Channels of an image: 1 stores 8-bit grey once; settles if a channel is transparency",
    ),
]
Pages = Annotated[
    Literal["channels", "images"] | None,
    Option("Images", default="stacks are refused", commands=EVERY),
    Field(description="Pages of a stack: channels of one image, or images of their own that no split separates"),
]
DeclaredRange = Annotated[
    Range | Literal["window"] | None,
    BeforeValidator(_range),
    Option("Images", metavar="LOW,HIGH|window", default="from the training images", commands=EVERY, text=True),
    Field(description="Values of images of more than 8 bits that become black and white; window: as DICOM files say"),
]
Background = Annotated[
    Literal["white", "black", "mean"],
    Option("Images", commands=EVERY),
    Field(description="Colour below transparent images; mean: of the opaque pixels beside transparent ones"),
]


class Reading(Model):
    """How the image files of a set are read.

    ``channels`` is the number of channels of every image, ``range`` the values that become 0 and full scale in images
    of more than 8 bits; ``"window"`` is the one that all DICOM files of the set state. None leaves it to the files.
    """

    channels: Channels = None
    pages: Pages = None
    range: DeclaredRange = None
    background: Background = "white"

    def __str__(self) -> str:
        """Return ``" channels=4 pages=images"``: the settings that differ from the default, empty without one."""
        return "".join(f" {name}={value}" for name, value in self.model_dump(exclude_defaults=True).items())
