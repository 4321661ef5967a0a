"""Classes with so few images that their results say little, named when a sweep is planned."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.config.sweep import ClassCounts
from ablate.errors import printable

FEWEST = 10  # images of a class: with fewer, a single one is worth more than ten points of the class's recall
NAMED = 3  # classes that the sentence names


def about_small_classes(classes: Sequence[str], counts: ClassCounts | None) -> list[str]:
    """Return a sentence if classes have fewer than ten validation or test images; it names the smallest of them.

    Fewer validation images say little when compositions are chosen, fewer test images when they are judged.

    Args:
        classes: the names of the classes.
        counts: the images of every class; None for a task without classes.
    """
    if counts is None:
        return []
    images = list(zip(counts.validation, counts.test, classes, strict=True))
    small = sorted((image for image in images if min(image[:2]) < FEWEST), key=lambda image: min(image[:2]))
    if not small:
        return []
    has = "has" if len(small) == 1 else "have"
    which = ", ".join(f"{name}: {validation} and {test}" for validation, test, name in small[:NAMED])
    more = f", and {len(small) - NAMED} more" if len(small) > NAMED else ""
    whose = "its" if len(small) == 1 else "their"
    return [
        printable(
            f"{len(small)} of {len(classes)} classes {has} fewer than {FEWEST} validation or test "
            f"images ({which}{more}): one image is worth more than {100 // FEWEST} points of {whose} recall"
        )
    ]
