"""Points of a search's space: all of them, some at random, and the neighbours of one."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ablate.config.space import STEP, compositions, tuned
from ablate.config.sweep import NamedComposition, NamedOp, Search
from ablate.ops import from_spec, spec, to_string
from ablate.search.measured import Defaults

STEPS = (-4 * STEP, -STEP, STEP, 4 * STEP)
"""The changes of a parameter that lead to a neighbour."""
Parameters = Mapping[str, float]
"""The searched parameters of ops, as ``<op>.strength`` and ``<op>.p``."""


def is_finite(search: Search) -> bool:
    """Return True if the space holds whole compositions only, without strengths or probabilities to search."""
    return not any(tuned(search, op) for op in search.ops)


def composed(search: Search, labels: Iterable[str], parameters: Parameters, defaults: Defaults) -> NamedComposition:
    """Return the composition of the ops with these ``labels``, in this order.

    Args:
        search: the space.
        labels: the labels of different ops of the space.
        parameters: at least the searched parameters of these ops.
        defaults: op parameters that labels leave out.
    """
    by_label = {op.label: op for op in search.ops}
    return _joined([_resolved(search, by_label[label], parameters, defaults) for label in labels])


def everything(search: Search, defaults: Defaults) -> Iterator[NamedComposition]:
    """Yield every composition of a finite space, shorter ones first."""
    ops = [_resolved(search, op, {}, defaults) for op in search.ops]
    for length in range(1, search.max_length + 1):
        yield from map(_joined, itertools.permutations(ops, length))


def _resolved(search: Search, named: NamedOp, parameters: Parameters, defaults: Defaults) -> NamedOp:
    """Return an op of the space with its searched parameters, and with the label that names them."""
    drawn = {name: parameters[f"{named.op.name}.{name}"] for name in tuned(search, named)}
    op = dataclasses.replace(from_spec(named.op), **drawn)
    return NamedOp(label=to_string(op, defaults), op=spec(op))


def _joined(ops: Sequence[NamedOp]) -> NamedComposition:
    return NamedComposition(label="+".join(op.label for op in ops), ops=tuple(op.op for op in ops))


def at_random(search: Search, generator: random.Random) -> dict[str, Any]:
    """Draw ``length`` and ops of a composition of different ops, each composition of the space being equally likely.

    If the length were drawn uniformly, single ops would be drawn too often: they are 7 of the 49 compositions of one or
    two of seven ops.
    """
    labels = [op.label for op in search.ops]
    lengths = range(1, search.max_length + 1)
    (length,) = generator.choices(lengths, compositions(search))
    ops = generator.sample(labels, length)
    return {"length": length} | {f"op{position}": label for position, label in enumerate(ops, start=1)}


def drawn(search: Search, generator: random.Random, defaults: Defaults) -> NamedComposition:
    """Return a composition drawn by :func:`at_random`, with every searched parameter drawn uniformly from its steps."""
    ops = [label for name, label in at_random(search, generator).items() if name != "length"]
    return composed(search, ops, _parameters(search, generator), defaults)


def neighbours(
    search: Search, of: NamedComposition, generator: random.Random, defaults: Defaults
) -> Iterator[NamedComposition]:
    """Yield the compositions that differ from one by an op more, less or replaced, two ops swapped, or a parameter.

    Args:
        search: the space.
        of: the composition.
        generator: draws the parameters of ops that the composition lacks.
        defaults: op parameters that labels leave out.
    """
    by_name = {op.op.name: op for op in search.ops}
    labels = [by_name[op.name].label for op in of.ops]
    own = {f"{op.name}.{name}": op.params[name] for op in of.ops for name in tuned(search, by_name[op.name])}
    for changed in _reordered(search, labels):
        yield composed(search, changed, _parameters(search, generator) | own, defaults)
    for op in of.ops:
        for name, (low, high) in tuned(search, by_name[op.name]).items():
            for step in STEPS:
                value = round(min(high, max(low, op.params[name] + step)), 2)
                yield composed(search, labels, own | {f"{op.name}.{name}": value}, defaults)


def _reordered(search: Search, labels: list[str]) -> Iterator[list[str]]:
    others = [op.label for op in search.ops if op.label not in labels]
    for place in range(len(labels)):
        if len(labels) > 1:
            yield labels[:place] + labels[place + 1 :]
        for other in others:
            yield [*labels[:place], other, *labels[place + 1 :]]
    if len(labels) < search.max_length:
        for place in range(len(labels) + 1):
            for other in others:
                yield [*labels[:place], other, *labels[place:]]
    for i, j in itertools.combinations(range(len(labels)), 2):
        swapped = list(labels)
        swapped[i], swapped[j] = labels[j], labels[i]
        yield swapped


def _parameters(search: Search, generator: random.Random) -> dict[str, float]:
    return {
        f"{op.op.name}.{name}": round(low + STEP * generator.randint(0, round((high - low) / STEP)), 2)
        for op in search.ops
        for name, (low, high) in tuned(search, op).items()
    }
