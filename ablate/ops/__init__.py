"""Augmentations as ops: frozen parameters, ``sample`` per image, then ``apply``."""

from __future__ import annotations

from typing import Any

from ablate.ops.catalogue import describe
from ablate.ops.crop import Crop
from ablate.ops.grammar import from_spec, parse_composition, parse_op, spec, split_list, to_string
from ablate.ops.kornia_adapter import PREFIX, adapt
from ablate.ops.op import Op, Params, as_unit_range, build, param
from ablate.ops.registry import get, names, register
from ablate.ops.rehearsal import idle_on, rehearse, without_effect
from ablate.ops.resample import center_crop, resized_crop

__all__ = [
    "Crop",
    "Op",
    "Params",
    "as_unit_range",
    "center_crop",
    "describe",
    "from_spec",
    "get",
    "idle_on",
    "names",
    "op",
    "param",
    "parse_composition",
    "parse_op",
    "register",
    "rehearse",
    "resized_crop",
    "spec",
    "split_list",
    "to_string",
    "without_effect",
]


def op(text: str, /, **parameters: Any) -> Op:
    """``op("color", strength=0.5)``, or the string form: ``op("color(strength=0.5)")``.

    Raises:
        UsageError: an unknown op or parameter, a value out of range, or both forms at once.
    """
    if not parameters:
        return parse_op(text)
    return adapt(text.removeprefix(PREFIX), parameters) if text.startswith(PREFIX) else build(get(text), parameters)
