"""The ops and compositions of an experiment, parsed with the op defaults of its preset and tried once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ablate.config.at_hand import as_option
from ablate.config.base import OpSpec
from ablate.config.experiment import Experiment
from ablate.config.objectives import KINDS
from ablate.config.recipes import PREFIX
from ablate.config.sweep import NamedComposition, NamedOp
from ablate.data import DataSet
from ablate.errors import UsageError
from ablate.ops import (
    Op,
    branches_to_string,
    from_spec,
    parse_branches,
    parse_op,
    refuse_channels,
    rehearse,
    spec,
    split_list,
    to_string,
)
from ablate.ops.composition import Composition
from ablate.ops.kornia_adapter import KorniaOp
from ablate.planning.settings import image_size, preset_of


def named_ops(wish: Experiment) -> tuple[NamedOp, ...]:
    """Return the ops of the grid, resolved and in order, after trying each once.

    Raises:
        UsageError: malformed text, a composition in place of an op, an op listed twice, an op that fails.
    """
    defaults = op_defaults(wish)
    named: list[NamedOp] = []
    for item in (part for text in wish.ops for part in split_list(text, ",")):
        if len(split_list(item, "+")) > 1 or len(split_list(item, "|")) > 1 or item.startswith(PREFIX):
            raise UsageError(f"ops must be single ops, which ablate composes itself, but {item!r} is a composition")
        op = parse_op(item, defaults)
        label = to_string(op, defaults)
        if any(label == other.label for other in named):
            raise UsageError(f"op {label!r} is listed twice in {','.join(wish.ops)!r}")
        rehearse(op, image_size(wish))
        named.append(NamedOp(label=label, op=spec(op), acts=round(op.acts, 6)))
    return tuple(named)


def check_channels(ops: Iterable[OpSpec], data: DataSet, size: int) -> None:
    """Try every op on random images with as many channels as those of ``data``, unless that is 3, which was tried.

    Args:
        ops: the ops of all compositions.
        data: the images.
        size: side of the views in pixels.

    Raises:
        UsageError: an op does not take so many channels, or fails on them.
    """
    channels = data.identity.channels
    for op in map(from_spec, ops):
        refuse_channels(op, channels, data.name)
        if channels != 3:
            rehearse(op, size, channels)


def check_different(cells: Iterable[NamedComposition]) -> None:
    """Raise UsageError if two cells have the same composition, such as two recipes of the same ops.

    They would share their trials, and a comparison would count these twice.
    """
    known: dict[str, str] = {}
    for cell in cells:
        other = known.setdefault(cell.model_dump_json(exclude={"label"}), cell.label)
        if other != cell.label:
            raise UsageError(f"{other} and {cell.label} are the same composition: leave one of them out")


def check_views(composition: NamedComposition, wish: Experiment) -> None:
    """Raise UsageError if ``wish`` trains with fewer augmented views than ``composition`` has branches."""
    if composition.second is None:
        return
    if wish.branches == "one":
        raise UsageError(
            f"{composition.label} gives the second view ops of its own, but one-branch pairs augment only the first: "
            f"use {as_option('branches', 'two')}"
        )
    kind = KINDS.get(str(wish.set.get("objective")))
    if kind and kind.views == 1:
        raise UsageError(
            f"{composition.label} gives the second view ops of its own, but {kind.title} sees only the first: "
            f"use {as_option('objective', 'simclr')}, or one composition for both views"
        )


def acting_on(wish: Experiment, share: float) -> Experiment:
    """Return ``wish`` with every op of its cells acting on that ``share`` of images (``--act-on``).

    Raises:
        UsageError: malformed text, a share that is not a fraction, an op whose text already says how often it acts.
    """

    def act(text: str) -> str:
        return acting(wish, text, share)

    ops, partners, beside = wish.ops, wish.pairs_with, wish.compositions
    acted = {name: act(text) for name, text in beside.items()} if isinstance(beside, dict) else list(map(act, beside))
    first = None if wish.first is None else act(wish.first)
    return wish.replace(ops=list(map(act, ops)), first=first, pairs_with=list(map(act, partners)), compositions=acted)


def acting(wish: Experiment, text: str, share: float) -> str:
    """Return a composition as text in which every op acts on that ``share`` of images (``--act-on``).

    Args:
        wish: the description, whose preset gives the op defaults.
        text: the composition.
        share: the share of images.

    Raises:
        UsageError: malformed text, a share that is not a fraction, an op whose text already says how often it acts.
    """
    if not 0 < share <= 1:
        raise UsageError(
            f"--act-on must be the share of images on which every op acts, above 0 and at most 1, not {share:g}"
        )
    defaults = op_defaults(wish)
    first, second = parse_branches(text, defaults)
    for op in (*first, *(second or ())):
        if op.acts not in (_usual(op, defaults).acts, share):
            raise UsageError(
                f"--act-on {share:g} sets how often every op acts, but {to_string(op, defaults)} sets it too: leave "
                "one of the two out"
            )
    acted = [None if ops is None else [op.acting(share) for op in ops] for ops in (first, second)]
    return branches_to_string(acted[0] or (), acted[1], defaults)


def _usual(op: Op, defaults: Mapping[str, Mapping[str, Any]]) -> Op:
    """Return the op with its default probability of acting."""
    if isinstance(op, KorniaOp):
        return dataclasses.replace(op, arguments=tuple(item for item in op.arguments if item[0] != "p"))
    return parse_op(op.name, defaults)


def parse_one(wish: Experiment, text: str) -> Composition:
    """Parse one composition with the preset's op defaults, and try each op once."""
    composition = Composition.parse(text, op_defaults(wish))
    for op in composition.every_op:
        rehearse(op, image_size(wish))
    return composition


def named_composition(label: str, composition: Composition) -> NamedComposition:
    """Return a parsed composition under a name, as plans hold it."""
    return NamedComposition(label=label, ops=composition.specs(), second=composition.second_specs())


def op_defaults(wish: Experiment) -> Mapping[str, Mapping[str, Any]]:
    """Return the op parameters that the data set's preset replaces."""
    return preset_of(wish).ops
