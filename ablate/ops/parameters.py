"""Parameters of ops: how a class declares one, and how a value is checked against the declaration. Needs no torch."""

from __future__ import annotations

import dataclasses
from typing import Any

from ablate.errors import UsageError, nearest


def param(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    later: bool = False,
) -> Any:
    """Declare a dataclass field as an op's parameter.

    Args:
        default: its default. A tuple declares a pair ``(low, high)`` that must be ordered; both ends are held to the
            range.
        doc: its meaning.
        low: the smallest value, inclusive.
        high: the largest value, inclusive.
        unit: its unit.
        choices: the allowed words, in place of a range.
        later: True if the op is older than this parameter; the default is then what the op did before. It is written
            into records, and counts in a trial's key, only where it has another value, so that earlier trials are found
            again.

    Returns:
        the field.
    """
    metadata = {"doc": doc, "low": low, "high": high, "unit": unit, "choices": choices, "later": later}
    return dataclasses.field(default=default, metadata=metadata)


def checked(op: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """Return ``value`` in the type of the field's default; raise UsageError that names op, parameter and range."""
    default, low, high = field.default, field.metadata.get("low"), field.metadata.get("high")
    where = f"parameter {field.name!r} of op '{op}'"
    if isinstance(default, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(default):
            raise UsageError(f"{where} must be {len(default)} numbers like {default}, not {value!r}")
        items = tuple(_number(where, v, default[0], low, high) for v in value)
        if list(items) != sorted(items):
            raise UsageError(f"{where} must be ordered (low, high), not {value!r}")
        return items
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UsageError(f"{where} must be True or False, not {value!r}")
        return value
    if isinstance(default, str):
        choices = field.metadata.get("choices", ())
        if not isinstance(value, str) or (choices and value not in choices):
            allowed = " or ".join(map(repr, choices)) if choices else "a string"
            raise UsageError(f"{where} must be {allowed}, not {value!r}{nearest(str(value), choices)}")
        return value
    if isinstance(default, int | float):
        return _number(where, value, default, low, high)
    return value


def _number(where: str, value: Any, like: float, low: float | None, high: float | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where} must be a number, not {value!r}")
    if not (-float("inf") < value < float("inf")):
        raise UsageError(f"{where} must be finite, not {value!r}")
    if isinstance(like, int) and value != int(value):
        raise UsageError(f"{where} must be a whole number, not {value!r}")
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"in [{low}, {high}]"
        raise UsageError(f"{where} must be {span}, not {value!r}")
    return type(like)(value)
