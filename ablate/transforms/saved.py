"""Pipelines that ``albumentations.save`` has written as JSON, by versions 1 and 2."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ablate.errors import UsageError
from ablate.transforms.expressions import DEEPEST
from ablate.transforms.steps import Step

CLASS = "__class_fullname__"


def read_saved(where: str, text: str) -> Step:
    """Return the pipeline in a file of ``albumentations.save``, which holds every argument of every step.

    Args:
        where: the file, for messages.
        text: its content.

    Raises:
        UsageError: no JSON, or not of albumentations.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
    found = content.get("transform") if isinstance(content, dict) else None
    if not (isinstance(found, dict) and CLASS in found):
        raise UsageError(f"{where} is not a file of albumentations.save: it has no 'transform' with a {CLASS!r}")
    return _step(where, found, itertools.count())


def _step(where: str, content: Mapping[str, Any], numbers: Iterator[int], depth: int = 0) -> Step:
    """Return one step and those inside; containers count too, and the outermost is step 0."""
    if depth > DEEPEST:
        raise UsageError(f"{where} has more than {DEEPEST} steps within steps")
    place = f"{where}, step {next(numbers)}"
    name = content.get(CLASS)
    if not isinstance(name, str):
        raise UsageError(f"{place}: it has no {CLASS!r}")
    top, _, last = name.rpartition(".")
    library = "albumentations" if top.partition(".")[0] in {"", "albumentations"} else ""
    inside = content.get("transforms", [])
    if not (isinstance(inside, list) and all(isinstance(item, dict) for item in inside)):
        raise UsageError(f"{place}: the transforms of {last} are no list of steps")
    named = {key: _value(value) for key, value in content.items() if key not in (CLASS, "transforms")}
    steps = tuple(_step(where, item, numbers, depth + 1) for item in inside)
    return Step(library, last, place, named=named, inside=steps)


def _value(value: Any) -> Any:
    return tuple(map(_value, value)) if isinstance(value, list) else value
