"""The numbers of an op as other libraries take them, and calls as text. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ablate.config.base import OpSpec
from ablate.errors import NotExportable

Values = Mapping[str, Any]


def literal(value: Any) -> str:
    """Return ``value`` as Python: lists become tuples, and floats lose the last digits, which hold rounding errors."""
    if isinstance(value, list | tuple):
        inside = ", ".join(literal(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str):
        return json.dumps(value)
    return repr(float(f"{value:.12g}")) if isinstance(value, float) else repr(value)


def call(name: str, /, *positional: Any, **named: Any) -> str:
    """Return the text of a call with literal arguments."""
    arguments = [literal(value) for value in positional] + [f"{key}={literal(value)}" for key, value in named.items()]
    return f"{name}({', '.join(arguments)})"


def only(name: str, op: Values, **held: str) -> None:
    """Raise NotExportable if a parameter has another value than pipelines have; records may lack the parameter."""
    for parameter, value in held.items():
        if op.get(parameter, value) != value:
            raise NotExportable(
                f"{call(name, **{parameter: op[parameter]})} cannot be exported: no library has an equivalent; "
                f"allowed: {parameter}={value!r}"
            )


def check_words(spec: OpSpec) -> None:
    """Raise NotExportable if the name of an op or of a parameter is no word: it came from a file, and becomes code."""
    words = (*spec.name.split("."), *spec.params)
    if not all(word.isidentifier() for word in words):
        raise NotExportable(
            f"{spec.name!r} with the parameters {', '.join(map(repr, spec.params))} is not an op's call"
        )


def scaled(op: Values, name: str) -> tuple[float, ...]:
    """Return a range times the op's strength."""
    return tuple(value * op["strength"] for value in op[name])


def jitter_ranges(op: Values) -> dict[str, tuple[float, float]]:
    """Return the ranges of the three factors, and of the turn of the hue, for ``jitter`` or ``color``."""
    only("jitter" if "jitter_p" not in op else "color", op, impl="torchvision")
    ranges = {}
    for name in ("brightness", "contrast", "saturation"):
        reach = op[name] * op["strength"]
        ranges[name] = (max(0.0, 1 - reach), 1 + reach)
    turn = min(op["hue"] * op["strength"], 0.5)
    return {**ranges, "hue": (-turn, turn)}


def blur_taps(op: Values, size: int) -> int:
    """Return the side of the kernel of ``blur`` in pixels, for images of ``size`` pixels."""
    odd = int(size * float(op["kernel"])) // 2 * 2 + 1
    return min(max(odd, 5), 2 * size - 1)


def cutout_side(op: Values, size: int) -> int:
    """Return the side of the square of ``cutout`` in pixels, for images of ``size`` pixels."""
    return min(round(size * float(op["size"] * op["strength"])), size)
