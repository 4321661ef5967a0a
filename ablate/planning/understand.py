"""The only way from a description to the plan of a sweep."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ablate.config.experiment import Experiment
from ablate.config.experiment_file import to_toml
from ablate.config.points import Point, points
from ablate.config.recipes import is_recipe
from ablate.config.slurm import Slurm
from ablate.config.space import check, tuned
from ablate.config.sweep import NamedComposition, NamedOp, Sampler, Search, SweepPlan, Variant
from ablate.config.trial import TrialConfig
from ablate.data import DataSet
from ablate.errors import UsageError, nearest, sentence
from ablate.evaluation.protocols import check_protocols, default_protocols, parse_protocols
from ablate.ops import branches_to_string, from_spec, parse_op, spec, to_string
from ablate.planning.compositions import (
    check_channels,
    check_different,
    check_views,
    named_composition,
    named_ops,
    op_defaults,
    parse_one,
)
from ablate.planning.images import as_they_act
from ablate.planning.prior import priors
from ablate.planning.request import sized_as_before
from ablate.planning.settings import Device, trial_config, validate
from ablate.planning.stages import budgeted, rounds, rungs
from ablate.sweep.plan import after_first, grid_cells
from ablate.trial.encoders import check_keep


def plan_sweep(
    wish: Experiment,
    directory: Path,
    images: Callable[[Experiment], DataSet],
    command: str,
    *,
    elsewhere: Device | None = None,
    slurm: Callable[[TrialConfig], Slurm] | None = None,
    search: Search | None = None,
) -> tuple[SweepPlan, DataSet]:
    """Plan the sweep that ``wish`` describes: the checks that need no images come first.

    Args:
        wish: the user's description. In a directory that holds a sweep, the default image size is that sweep's.
        directory: where the sweep is, or will be; nothing is written there.
        images: returns the images of a description; it is called once everything else is known to be right.
        command: the command that the plan came from.
        elsewhere: as in :func:`~ablate.planning.settings.shared_config`.
        slurm: returns the resources that jobs of such trials ask of a cluster; None without jobs.
        search: the space of a search over the ops, in place of their grid.

    Returns:
        the plan, every setting of it resolved, and the images.

    Raises:
        UsageError: a value that is not allowed, with the point of the axes where it occurs; a batch larger than the
            data set; an op that does not take the images' channels; a reference or a protocol that the images do not
            allow; protocols that cannot compare cells or cannot tell the best encoder; two equal cells or
            points.
    """
    sized = sized_as_before(wish, directory)
    config = validate(sized, elsewhere)
    jobs = slurm(config) if slurm else None
    specs = parse_protocols(",".join(wish.protocol)) if wish.protocol else ()
    ops = named_ops(sized)
    partners = _partners(sized, ops)
    first = _first(sized)
    cells = [cell for cell, _ in grid_cells(ops, first, wish.unordered, partners)]
    grid = [cell.label for cell in cells]
    triples = [after_first(first, item) for item in _triples(sized, ops, partners)]
    beside = {item.label: item for item in (*triples, *_named(sized)) if item.label not in grid}
    check_different([*cells, *beside.values()])
    of_seeds = rounds(sized, len(grid) + len(beside))
    part = budgeted(wish, config.device, [*cells, *beside.values()])
    if wish.prior and not (search or part):
        raise UsageError("prior is for a budget or a search, whose model learns from it")
    known = priors(wish, directory, None if search else [*cells, *beside.values()])
    at_points = _at_points(sized, [*grid, *beside], elsewhere)
    _check_views(sized, at_points, [*cells, *beside.values()])
    data = images(sized)
    shared = trial_config(sized, data, elsewhere, is_trained=not at_points or wish.references != ["untrained"])
    check_channels(
        [*(op.op for op in ops), *(op for item in (*cells, *beside.values()) for op in item.every_op)],
        data,
        shared.image_size,
    )
    if "supervised" in wish.references and not data.classes:
        raise UsageError(f"{data.name} has no labels: the supervised reference cannot be trained")
    planned = SweepPlan(
        command=command,
        preset=wish.preset,
        data=wish.data,
        eval_data=wish.eval_data,
        label=wish.label,
        labels=wish.labels,
        limit=wish.limit,
        short_side=wish.short_side,
        reading=wish.reading,
        ranges=data.ranges,
        background=data.background,
        seeds=tuple(wish.seed_list),
        references=tuple(name for name in wish.references if name != shared.objective),  # the cells are that one
        reference_crop=spec(parse_op("crop", op_defaults(sized))),
        ops=() if search else as_they_act(ops, data, shared.image_size),
        first=first,
        unordered=wish.unordered,
        pairs_with=partners,
        compositions=tuple(beside.values()),
        baseline=None if wish.baseline is None else _baseline(sized, wish.baseline, [*grid, *beside]),
        search=search and search.replace(prior=known),
        prune=rungs(wish, shared, data),
        rounds=of_seeds,
        budgeted=part and part.replace(prior=known),
        shared=shared,
        variants=_variants(at_points, data, elsewhere),
        protocols=_protocols(wish, specs, data),
        keep_encoders=wish.keep_encoders,
        rank_timeout=wish.rank_timeout,
        measure=data.measure,
        class_counts=data.all_class_counts,
        slurm=jobs,
        source="" if search else to_toml(wish, command),
    )
    return planned, data


def _at_points(wish: Experiment, labels: Sequence[str], elsewhere: Device | None) -> list[tuple[Point, Experiment]]:
    """Return the checked points of the axes, each with the cells that it leaves out and the description at it."""
    checked = []
    for point in points(wish):
        excluded = tuple(_cell_named(text, wish, labels, "exclude") for text in point.excluded)
        there = wish.at(point.settings)
        try:
            validate(there, elsewhere)
        except UsageError as error:
            raise UsageError(f"at {point}: {error}") from None
        checked.append((dataclasses.replace(point, excluded=excluded), there))
    return checked


def _check_views(
    wish: Experiment, at_points: Sequence[tuple[Point, Experiment]], compositions: Iterable[NamedComposition]
) -> None:
    """Raise UsageError if a cell has ops of its own for a second view that is not augmented there."""
    for item in compositions:
        for point, there in at_points or [(Point({}, {}), wish)]:
            if item.label in point.excluded:
                continue
            try:
                check_views(item, there)
            except UsageError as error:
                raise UsageError(f"at {point}: {error}" if point.values else str(error)) from None


def _protocols(wish: Experiment, asked: Sequence[str], data: DataSet) -> tuple[str, ...]:
    specs = tuple(asked) or default_protocols(data)
    check_protocols(specs, data)
    if not {"linear", "rotation"} & set(specs):
        raise UsageError(
            "a grid's cells are compared by the validation accuracy of linear evaluation or rotation prediction: "
            f"add linear or rotation to the protocols {','.join(specs)}"
        )
    check_keep(wish.keep_encoders, specs)
    return specs


def search_of(
    ops: tuple[NamedOp, ...],
    max_length: int | None,
    strength: str | None,
    p: str | None,
    sampler: Sampler,
    seed: int,
    batch: int,
) -> Search:
    """Return the space of compositions of ``ops``.

    Args:
        ops: the ops.
        max_length: the largest number of ops in a composition; None: up to three.
        strength: the range of every strength, as ``LOW:HIGH``; None: strengths are not searched.
        p: the range of every probability, as ``LOW:HIGH``; None: probabilities are not searched.
        sampler: how compositions are proposed.
        seed: the sampler's seed.
        batch: how many compositions are proposed at a time.

    Raises:
        UsageError: a malformed range, one that an op cannot take, or an impossible space.
    """
    max_length = max_length or min(3, len(ops))
    ranges = {"strength": _range("--strength", strength), "p": _range("--p", p)}
    try:
        space = Search(ops=ops, max_length=max_length, sampler=sampler, seed=seed, batch=batch, **ranges)
    except ValidationError as error:
        raise UsageError(f"--{sentence(error)}") from None
    check(space)
    for op in space.ops:
        for name, bounds in tuned(space, op).items():
            for value in bounds:
                dataclasses.replace(from_spec(op.op), **{name: value})  # refuses a value outside the op's range
    return space


def _range(flag: str, text: str | None) -> Any:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise UsageError(f"{flag} must be LOW:HIGH, as in 0.25:1, not {text!r}") from None


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
    return named_composition(_label(wish, wish.first), composition)


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
        named = [(_label(wish, text), parse_one(wish, text)) for text in wish.compositions]
    if len(dict(named)) < len(named):
        raise UsageError("compositions: a composition is listed twice")
    return [named_composition(name, composition) for name, composition in named]


def _label(wish: Experiment, text: str) -> str:
    """Return a recipe's name, or a composition's canonical one, without the parameters that have their defaults."""
    composition = parse_one(wish, text)
    if is_recipe(text):
        return text.strip()
    return branches_to_string(composition.ops, composition.second, op_defaults(wish))


def _cell_named(text: str, wish: Experiment, labels: Sequence[str], key: str) -> str:
    """Return the label of the cell that ``text`` names under ``key``; raise UsageError if there is none."""
    label = text if text in labels else _label(wish, text)
    if label not in labels:
        raise UsageError(f"{key}: {label!r} is not a cell of this sweep{nearest(label, labels)}")
    return label


def _baseline(wish: Experiment, text: str, labels: Sequence[str]) -> str:
    """Return the label of the cell with which the report compares every other."""
    if wish.axes:
        raise UsageError("baseline is for one setting: this experiment has axes")
    return _cell_named(text, wish, labels, "baseline")


def _variants(
    at_points: Sequence[tuple[Point, Experiment]], data: DataSet, elsewhere: Device | None
) -> tuple[Variant, ...]:
    variants: dict[str, Variant] = {}
    for point, wish in at_points:
        try:
            shared = trial_config(wish, data, elsewhere)
        except UsageError as error:
            raise UsageError(f"at {point}: {error}") from None
        if shared.key in variants:
            raise UsageError(f"{variants[shared.key]} and {point} are the same configuration: exclude one of them")
        variants[shared.key] = Variant(values=point.values, shared=shared, excluded=point.excluded)
    return tuple(variants.values())
