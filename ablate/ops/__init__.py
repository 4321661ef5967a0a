"""Augmentations as ops: frozen parameters, ``sample`` per image, then ``apply``."""

from __future__ import annotations

from ablate.ops.catalogue import describe
from ablate.ops.crop import Crop
from ablate.ops.grammar import (
    branches_to_string,
    from_spec,
    op,
    parse_branches,
    parse_composition,
    parse_op,
    spec,
    split_list,
    to_string,
    with_files,
)
from ablate.ops.op import Op, Params, as_unit_range
from ablate.ops.parameters import param
from ablate.ops.registry import get, names, register
from ablate.ops.rehearsal import acts_on, refuse_channels, rehearse, without_effect
from ablate.ops.resample import center_crop, resized_crop

__all__ = [
    "Crop",
    "Op",
    "Params",
    "acts_on",
    "as_unit_range",
    "branches_to_string",
    "center_crop",
    "describe",
    "from_spec",
    "get",
    "names",
    "op",
    "param",
    "parse_branches",
    "parse_composition",
    "parse_op",
    "refuse_channels",
    "register",
    "rehearse",
    "resized_crop",
    "spec",
    "split_list",
    "to_string",
    "with_files",
    "without_effect",
]
