"""The cells that a description asks for: the grid of its ops, and the compositions beside it. Needs no images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.config.experiment import Experiment
from ablate.config.recipes import is_recipe
from ablate.config.sweep import NamedComposition, NamedOp
from ablate.errors import UsageError, nearest
from ablate.ops import branches_to_string, parse_op, to_string
from ablate.planning.compositions import check_different, named_composition, named_ops, op_defaults, parse_one
from ablate.sweep.plan import after_first, grid_cells


@dataclass(frozen=True)
class Cells:
    """The cells of one setting, all different.

    Args:
        ops: the ops of the grid's axes.
        partners: the labels of the ops that every pair must contain one of; empty: any pair.
        first: the composition of the first view, if the grid is of the second view alone.
        grid: the cells of the grid.
        beside: triples and listed compositions that are no cells of the grid.
    """

    ops: tuple[NamedOp, ...]
    partners: tuple[str, ...]
    first: NamedComposition | None
    grid: tuple[NamedComposition, ...]
    beside: tuple[NamedComposition, ...]

    @property
    def every(self) -> tuple[NamedComposition, ...]:
        """The cells of the grid, then those beside it."""
        return (*self.grid, *self.beside)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of every cell."""
        return tuple(cell.label for cell in self.every)


def cells_of(wish: Experiment) -> Cells:
    """Return the cells that ``wish`` asks for.

    Raises:
        UsageError: an op or a composition that is not allowed, a partner that is not one of the ops, or two equal
            cells.
    """
    ops = named_ops(wish)
    partners = _partners(wish, ops)
    first = _first(wish)
    grid = tuple(cell for cell, _ in grid_cells(ops, first, wish.unordered, partners))
    triples = [after_first(first, item) for item in _triples(wish, ops, partners)]
    known = {cell.label for cell in grid}
    beside = {item.label: item for item in (*triples, *_named(wish)) if item.label not in known}
    cells = Cells(ops, partners, first, grid, tuple(beside.values()))
    check_different(cells.every)
    return cells


def _partners(wish: Experiment, ops: Sequence[NamedOp]) -> tuple[str, ...]:
    """Return the labels of ``pairs_with``, each of them one of ``ops``."""
    labels = [op.label for op in ops]
    partners = [to_string(parse_op(text, op_defaults(wish)), op_defaults(wish)) for text in wish.pairs_with]
    for label in partners:
        if label not in labels:
            raise UsageError(
                f"pairs_with: {label!r} is not one of the ops: {', '.join(labels)}{nearest(label, labels)}"
            )
    return tuple(partners)


def _first(wish: Experiment) -> NamedComposition | None:
    """Return the composition of the first view in every cell of the grid, if the grid is of the second view alone."""
    if wish.first is None:
        return None
    if not wish.ops:
        raise UsageError("first is for a grid: it needs ops, which go to the second view")
    composition = parse_one(wish, wish.first)
    if composition.second is not None:
        raise UsageError(f"first is the composition of one view, but {wish.first!r} has two branches")
    return named_composition(label_of(wish, wish.first), composition)


def _triples(wish: Experiment, ops: Sequence[NamedOp], partners: Sequence[str]) -> list[NamedComposition]:
    """Return every ordered triple of different ops if ``order`` is 3: k(k-1)(k-2), or a sixth of them if unordered."""
    if wish.order != 3:
        return []
    if len(ops) < 3:
        raise UsageError(f"order 3 needs at least three ops, not {len(ops)}")
    arranged = itertools.combinations if wish.unordered else itertools.permutations
    return [
        NamedComposition(label="+".join(op.label for op in triple), ops=tuple(op.op for op in triple))
        for triple in arranged(ops, 3)
        if not partners or any(op.label in partners for op in triple)
    ]


def _named(wish: Experiment) -> list[NamedComposition]:
    """Return the compositions that the file lists, under the names that it gives them or their own."""
    if isinstance(wish.compositions, dict):
        named = [(name, parse_one(wish, text)) for name, text in wish.compositions.items()]
    else:
        named = [(label_of(wish, text), parse_one(wish, text)) for text in wish.compositions]
    if len(dict(named)) < len(named):
        raise UsageError("compositions: a composition is listed twice")
    return [named_composition(name, composition) for name, composition in named]


def label_of(wish: Experiment, text: str) -> str:
    """Return a recipe's name, or a composition's canonical one, without the parameters that have their defaults."""
    composition = parse_one(wish, text)
    if is_recipe(text):
        return text.strip()
    return branches_to_string(composition.ops, composition.second, op_defaults(wish))


def cell_named(text: str, wish: Experiment, labels: Sequence[str], key: str) -> str:
    """Return the label of the cell that ``text`` names under ``key``; raise UsageError if there is none."""
    label = text if text in labels else label_of(wish, text)
    if label not in labels:
        raise UsageError(f"{key}: {label!r} is not a cell of this sweep{nearest(label, labels)}")
    return label


def baseline_of(wish: Experiment, text: str, labels: Sequence[str]) -> str:
    """Return the label of the cell with which the report compares every other."""
    if wish.axes:
        raise UsageError("baseline is for one setting: this experiment has axes")
    return cell_named(text, wish, labels, "baseline")
