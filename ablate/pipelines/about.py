"""What a pipeline file is about: the ops of both views, and how the files of the images were read. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.config.base import Branches, OpSpec
from ablate.config.encoder import Normalization
from ablate.config.reading import WHITE, Colour, Range
from ablate.config.trial import Base
from ablate.pipelines.values import call


@dataclass(frozen=True)
class Files:
    """How the files of a sweep's images were read.

    ``ranges`` are the values that became 0 and full scale, None for images of 8 bits; ``background`` is the colour
    below transparent ones. ``normalize`` is what the encoder did with the views.
    """

    channels: int = 3
    ranges: tuple[Range, ...] | None = None
    background: Colour = WHITE
    normalize: Normalization | None = None

    @property
    def normal(self) -> str:
        """The end of a view's description: its values are in [0, 1], or normalised."""
        return f", normalised by {self.normalize}" if self.normalize else ""

    @property
    def are_deep(self) -> bool:
        """True if the images are no pictures of 8 bits in grey or RGB."""
        return self.ranges is not None or self.channels not in {1, 3}

    @property
    def loader(self) -> str:
        """The call that makes a function from a path to an image."""
        if self.are_deep:
            return call("LoadDeep", ranges=self.ranges, channels=self.channels)
        own = {"background": self.background} if self.background != WHITE else {}
        return call("Load", **own, **({"mode": "L"} if self.channels == 1 else {}))


PICTURES = Files()
"""Files of 8 bits in RGB, of which nothing has to be known."""


@dataclass(frozen=True)
class Pair:
    """What a file does: the ops of both views or of each, as in :class:`ablate.TransformPair`.

    ``size`` is the side of the views in pixels; ``base`` the crop that both share, None if they share none.
    """

    views: tuple[Sequence[OpSpec], ...]
    size: int
    branches: Branches
    base: Base | None

    def __str__(self) -> str:
        """Return ``crop+color``, or ``crop+color|crop`` if each view has its own ops."""
        return "|".join("+".join(spec.name for spec in specs) or "none" for specs in self.views)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of a view's pipelines end in, if each view has its own."""
        return ("",) if len(self.views) == 1 else ("_first", "_second")

    def crops_stored(self, specs: Sequence[OpSpec]) -> bool:
        """Return True if the first op of a view is a crop that takes the stored image itself."""
        return self.base is None and bool(specs) and specs[0].name == "crop" and specs[0].params["p"] == 1


def listed(suffix: str, specs: Sequence[OpSpec]) -> list[str]:
    """Return the ops with their parameters, one per line, below a heading."""
    view = f" of the {suffix.removeprefix('_')} view" if suffix else ""
    heading = f"The ops{view}, first to last:" if specs else f"There are no ops{view}."
    return [heading, *(f"  {call(spec.name, **spec.params)}" for spec in specs)]


def applied(pair: Pair) -> str:
    """Return a sentence on which views are augmented, and what they start from."""
    if pair.branches == "one":
        return "Only the first of two views is augmented; the second is the base crop that both share."
    own = "with its own draws" if len(pair.views) == 1 else "by its own ops"
    both = f"Both views are augmented, each {own}"
    if pair.base is not None:
        return f"{both}, from one crop that both share."
    stored = [pair.crops_stored(specs) for specs in pair.views]
    if all(stored):
        return f"{both}; the crop takes the stored image itself."
    if any(stored):
        return f"{both}; the crop takes the stored image itself, the other view starts from the centre square."
    return f"{both}, from the same centre square."
