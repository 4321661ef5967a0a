"""The only way from a description to the plan of a sweep."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ablate.config.base import LARGEST_SEED
from ablate.config.experiment import Experiment
from ablate.config.experiment_file import to_toml
from ablate.config.points import Point, points
from ablate.config.slurm import Slurm
from ablate.config.sweep import NamedComposition, Search, SweepPlan, Variant
from ablate.config.tasks import main_task
from ablate.config.trial import TrialConfig
from ablate.data import DataSet
from ablate.errors import UsageError, printable
from ablate.evaluation.protocols import check_protocols, default_protocols, parse_protocols
from ablate.ops import parse_op, spec
from ablate.planning.cells import Cells, baseline_of, cell_named, cells_of
from ablate.planning.compositions import check_channels, check_views, op_defaults
from ablate.planning.images import as_they_act
from ablate.planning.init import contents
from ablate.planning.metric import check_metric, measured_as_before
from ablate.planning.prior import priors
from ablate.planning.request import sized_as_before
from ablate.planning.settings import Device, forget_encoders, trial_config, validate
from ablate.planning.stages import budgeted, rounds, rungs
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
    forget_encoders()
    specs = parse_protocols(",".join(wish.protocol)) if wish.protocol else ()
    _check_comparable(specs)
    check_metric(wish, specs)
    wish = measured_as_before(wish, directory)
    sized = sized_as_before(wish, directory)
    config = validate(sized, elsewhere)
    jobs = slurm(config) if slurm else None
    cells = cells_of(sized)
    of_seeds = rounds(sized, len(cells.every))
    part = budgeted(wish, config.device, cells.every)
    if wish.prior and not (search or part):
        raise UsageError("prior is for a budget or a search, whose model learns from it")
    known = priors(wish, directory, search or cells.every)
    at_points = _at_points(sized, cells.labels, elsewhere)
    _check_views(sized, at_points, cells.every)
    data = images(sized)
    shared = trial_config(sized, data, elsewhere, is_trained=not at_points or wish.references != ["untrained"])
    _check_images(wish, cells, data, shared.image_size)
    variants = _variants(at_points, data, elsewhere)
    planned = SweepPlan(
        **_as_asked(wish),
        command=command,
        ranges=data.ranges,
        background=data.background,
        references=tuple(name for name in wish.references if name != shared.objective),  # the cells are that one
        untrained_seeds=_untrained_seeds(wish),
        reference_crop=spec(parse_op("crop", op_defaults(sized))),
        ops=() if search else as_they_act(cells.ops, data, shared.image_size),
        first=cells.first,
        pairs_with=cells.partners,
        compositions=cells.beside,
        baseline=None if wish.baseline is None else baseline_of(sized, wish.baseline, cells.labels),
        search=search and search.replace(prior=known),
        prune=rungs(wish, shared, data),
        rounds=of_seeds,
        budgeted=part and part.replace(prior=known),
        shared=shared,
        variants=variants,
        protocols=_protocols(wish, specs, data),
        measure=shared.measure or data.measure,
        class_counts=data.all_class_counts,
        tasks=data.every_task(main_task(wish.label)),
        classes=tuple(map(printable, data.classes)),
        slurm=jobs,
        weights=contents(sized, [shared, *(variant.shared for variant in variants)]),
        source="" if search else to_toml(wish, command),
    )
    return planned, data


def _as_asked(wish: Experiment) -> dict[str, Any]:
    """Return the fields of a plan that are those of the description, unchanged."""
    of_images = ("data", "eval_data", "label", "labels", "limit", "short_side", "reading")
    others = ("preset", "init", "unordered", "keep_encoders", "rank_timeout")
    return {name: getattr(wish, name) for name in (*of_images, *others)} | {"seeds": tuple(wish.seed_list)}


def _untrained_seeds(wish: Experiment) -> tuple[int, ...]:
    """Return the seeds of the untrained encoder, those of the cells first; none if it has no more than these."""
    number, seeds = wish.untrained_seeds, wish.seed_list
    if number is None:
        return ()
    if "untrained" not in wish.references:
        raise UsageError("untrained_seeds is for the reference untrained, which this sweep does not have")
    following = (seed % (LARGEST_SEED + 1) for seed in itertools.count(max(seeds) + 1))
    fresh = itertools.islice((seed for seed in following if seed not in seeds), max(0, number - len(seeds)))
    return (*seeds, *fresh) if number > len(seeds) else ()


def _check_images(wish: Experiment, cells: Cells, data: DataSet, size: int) -> None:
    """Raise UsageError if an op does not take the images' channels, or a reference needs labels that they lack."""
    check_channels([*(op.op for op in cells.ops), *(op for cell in cells.every for op in cell.every_op)], data, size)
    if "supervised" in wish.references and not data.classes:
        raise UsageError(f"{data.name} {data.lacks}: the supervised reference cannot be trained")


def _at_points(wish: Experiment, labels: Sequence[str], elsewhere: Device | None) -> list[tuple[Point, Experiment]]:
    """Return the checked points of the axes, each with the cells that it leaves out and the description at it."""
    checked = []
    for point in points(wish):
        excluded = tuple(cell_named(text, wish, labels, "exclude") for text in point.excluded)
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


def _check_comparable(specs: Sequence[str]) -> None:
    """Raise UsageError if the protocols that are asked for, if any, cannot compare cells."""
    if specs and not {"linear", "rotation"} & set(specs):
        raise UsageError(
            "a grid's cells are compared by the validation accuracy of linear evaluation or rotation prediction: "
            f"add linear or rotation to the protocols {','.join(specs)}"
        )


def _protocols(wish: Experiment, asked: Sequence[str], data: DataSet) -> tuple[str, ...]:
    specs = tuple(asked) or default_protocols(data)
    check_protocols(specs, data)
    check_keep(wish.keep_encoders, specs)
    return specs


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
