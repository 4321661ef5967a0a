"""Equal images in several splits or classes, told once: a leak between splits, or a label that cannot be learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ablate.errors import printable

TESTED = "test"


class Stored(NamedTuple):
    """A stored image: its split in words, its place among the training or test images, its class if any, its path."""

    split: str
    at: int
    label: str
    relpath: str


Alike = tuple[Stored, ...]
"""Images with equal pixels."""


def equal_images(images: Iterable[tuple[str, Stored]]) -> list[Alike]:
    """Return the sets of images of equal pixels that lie in several splits or classes.

    Args:
        images: the digest of each image's pixels, and the image.
    """
    alike: dict[str, list[Stored]] = {}
    for pixels, image in images:
        alike.setdefault(pixels, []).append(image)
    return [tuple(same) for same in alike.values() if _are_apart(same, "split") or _are_apart(same, "label")]


def kept(alike: Sequence[Alike], index: Iterable[int]) -> tuple[Alike, ...]:
    """Return ``alike`` for a set that keeps the training images of ``index``, in this order, and all test images."""
    places = {before: now for now, before in enumerate(index)}
    sets = (
        tuple(
            image if image.split == TESTED else image._replace(at=places[image.at])
            for image in same
            if image.split == TESTED or image.at in places
        )
        for same in alike
    )
    return tuple(same for same in sets if len(same) > 1)


def about_duplicates(sets: Sequence[Alike]) -> list[str]:
    """Return a warning if images of different splits have equal pixels, and one if images of different classes do."""
    warnings = []
    if torn := [same for same in sets if _are_apart(same, "split")]:
        first, other = _pair(torn[0], "split")
        warnings.append(
            f"warning: {sum(map(len, torn))} images have equal ones in another split, such as {first.relpath} "
            f"({first.split}) and {other.relpath} ({other.split}): results on them say little; remove all but one"
        )
    if mixed := [same for same in sets if _are_apart(same, "label")]:
        first, other = _pair(mixed[0], "label")
        warnings.append(
            f"warning: {sum(map(len, mixed))} images have equal ones in another class, such as {first.relpath} "
            f"({first.label}) and {other.relpath} ({other.label}): no encoder can tell them apart; correct their labels"
        )
    return [printable(warning) for warning in warnings]


def _are_apart(images: Sequence[Stored], field: str) -> bool:
    return len({getattr(image, field) for image in images}) > 1


def _pair(images: Sequence[Stored], field: str) -> tuple[Stored, Stored]:
    first = images[0]
    return first, next(image for image in images if getattr(image, field) != getattr(first, field))
