"""The points on the axes of an experiment: every combination of their values but the excluded ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.config.experiment import Experiment, Scalar, Values
from ablate.config.settable import SETTABLE
from ablate.errors import UsageError, nearest, unknown

WHOLE = {"image_size", "threads", "world_size"}
"""Settings that all trials of a sweep share, since they decide how images are stored and how a worker is made."""


@dataclass(frozen=True)
class Point:
    """A point on the axes.

    Args:
        values: the name of its value on each axis, by axis.
        settings: the settings, or ``branches``, that these values stand for.
        excluded: the compositions that are not trained here, as they are written in the file.
    """

    values: dict[str, str]
    settings: dict[str, Scalar]
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return ``temperature=0.1, batch_size=64``."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def points(file: Experiment) -> list[Point]:
    """Return every combination of the axes' values, the first axis outermost; an empty list without axes.

    Raises:
        UsageError: an unknown setting, one that is set twice, one that a whole sweep shares, an exclusion that names an
            unknown axis or value, or no point left.
    """
    if not file.axes:
        _check_exclusions(file, {})
        return []
    choices = {name: _choices(name, values) for name, values in file.axes.items()}
    _check_set_once(file, choices)
    _check_exclusions(file, choices)
    zipped = {name: group for group in file.zip for name in group}
    groups = [zipped.get(name, [name]) for name in choices if zipped.get(name, [name])[0] == name]
    rows = [
        list(zip(*([(name, *choice) for choice in choices[name].items()] for name in group), strict=True))
        for group in groups
    ]
    combinations = [_point(file, list(itertools.chain.from_iterable(row))) for row in itertools.product(*rows)]
    kept = [point for point in combinations if point is not None]
    if not kept:
        raise UsageError("exclude leaves no point of the axes")
    return kept


def _choices(name: str, values: Values) -> dict[str, dict[str, Scalar]]:
    """Return the settings that each value of an axis stands for, by the value's name."""
    if name in WHOLE or name in {"data", "eval_data", "label", "labels", "limit", "preset", "device", "seeds", "seed"}:
        raise UsageError(
            f"axes.{name}: all trials of a sweep share it; run one sweep per value and compare them with ablate report"
        )
    if name in {"composition", "compositions", "ops"}:
        raise UsageError(
            f"axes.{name}: compositions are not an axis: each is trained at every point; list them under compositions"
        )
    is_setting = name in SETTABLE or name == "branches"
    if isinstance(values, list):
        if not is_setting:
            raise unknown("axis", name, [*sorted({*SETTABLE} - WHOLE), "branches"])
        named = {shown(value): {name: value} for value in values}
        if len(named) < len(values):
            raise UsageError(f"axes.{name}: a value is listed twice")
        return named
    chosen: dict[str, dict[str, Scalar]] = {}
    for called, value in values.items():
        if not isinstance(value, dict):
            if not is_setting:
                raise unknown("axis", name, [*sorted({*SETTABLE} - WHOLE), "branches"])
            chosen[called] = {name: value}
            continue
        for setting in value:
            if setting in WHOLE:
                raise UsageError(f"axes.{name}.{called}: all trials of a sweep share {setting}; set it under [set]")
            if setting not in SETTABLE and setting != "branches":
                raise UsageError(
                    f"axes.{name}.{called}: unknown setting {setting!r}{nearest(setting, [*SETTABLE, 'branches'])}"
                )
        chosen[called] = value
    return chosen


def shown(value: Scalar) -> str:
    """Return a value as labels show it: ``0.1``, ``lars``, ``(0.08, 1)``."""
    if isinstance(value, list):
        return f"({', '.join(map(shown, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _check_set_once(file: Experiment, choices: Mapping[str, dict[str, dict[str, Scalar]]]) -> None:
    """Raise UsageError where a setting is given twice: by two axes, or by an axis and ``[set]``."""
    owner: dict[str, str] = dict.fromkeys(file.set, "[set]")
    for axis, values in choices.items():
        for setting in {name for settings in values.values() for name in settings}:
            if setting in owner:
                raise UsageError(f"{setting} is set by axes.{axis} and by {owner[setting]}; remove one of the two")
            owner[setting] = f"axes.{axis}"


def _check_exclusions(file: Experiment, choices: Mapping[str, Mapping[str, Any]]) -> None:
    for exclusion in file.exclude:
        for name, value in exclusion.items():
            if name == "composition":
                continue  # compared later with the resolved compositions
            if name not in choices:
                raise UsageError(f"exclude: there is no axis {name!r}{nearest(name, [*choices, 'composition'])}")
            if shown(value) not in choices[name]:
                raise UsageError(
                    f"exclude: axis {name} has no value {shown(value)!r}; it has {', '.join(choices[name])}"
                )


def _point(file: Experiment, row: Sequence[tuple[str, str, dict[str, Scalar]]]) -> Point | None:
    values = {name: called for name, called, _ in row}
    settings = {name: value for _, _, chosen in row for name, value in chosen.items()}
    matching = [
        exclusion
        for exclusion in file.exclude
        if all(name == "composition" or values[name] == shown(value) for name, value in exclusion.items())
    ]
    if any("composition" not in exclusion for exclusion in matching):
        return None
    return Point(values, settings, tuple(str(exclusion["composition"]) for exclusion in matching))
