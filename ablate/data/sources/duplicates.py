"""Equal images in several splits or classes, told once: a leak between splits, or a label that cannot be learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ablate.errors import printable


class Stored(NamedTuple):
    """A stored image: the digest of its pixels, its split in words, its class (empty without classes), its path."""

    pixels: str
    split: str
    label: str
    relpath: str


def about_duplicates(images: Iterable[Stored]) -> list[str]:
    """Return a warning if images of different splits have equal pixels, and one if images of different classes do."""
    alike: dict[str, list[Stored]] = {}
    for image in images:
        alike.setdefault(image.pixels, []).append(image)
    sets = [same for same in alike.values() if len(same) > 1]
    warnings = []
    if torn := [same for same in sets if len({image.split for image in same}) > 1]:
        first, other = _pair(torn[0], "split")
        warnings.append(
            f"warning: {sum(map(len, torn))} images have equal ones in another split, such as {first.relpath} "
            f"({first.split}) and {other.relpath} ({other.split}): results on them say little; remove all but one"
        )
    if mixed := [same for same in sets if len({image.label for image in same}) > 1]:
        first, other = _pair(mixed[0], "label")
        warnings.append(
            f"warning: {sum(map(len, mixed))} images have equal ones in another class, such as {first.relpath} "
            f"({first.label}) and {other.relpath} ({other.label}): no encoder can tell them apart; correct their labels"
        )
    return [printable(warning) for warning in warnings]


def _pair(images: list[Stored], field: str) -> tuple[Stored, Stored]:
    first = images[0]
    return first, next(image for image in images if getattr(image, field) != getattr(first, field))
