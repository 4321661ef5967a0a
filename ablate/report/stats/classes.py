"""What each composition, and each op over a grid, does to the recall of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablate.inference.adjusted import adjusted, largest
from ablate.inference.joint import joint, modelled
from ablate.report.data.classes import (
    Outcome,
    Share,
    confusion,
    names_of,
    recalls,
    results_of,
    with_groups,
    with_images,
)
from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.model import Difference
from ablate.report.stats.order import order

MOST_CELLS = 150  # compositions whose files are read, the best ones: more than a grid of twelve ops has
MOST_CLASSES = 40  # classes for which effects of ops are estimated: intervals that hold for more are too wide to use
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Profile:
    """The recall of every class under every composition, the best composition by the sweep's measure first.

    Args:
        names: the names of the classes.
        images: the numbers of validation and of test images of every class.
        cells: the compositions.
        seeds: the number of seeds with image results of each.
        validation: recall on the validation images, as a fraction, ``[cells, classes]``: means over seeds, adjusted for
            those that a composition lacks; NaN for a class without images.
        test: the same on the test images.
        confused: the share of the test images of each class (row) that the first composition takes for each.
    """

    names: tuple[str, ...]
    images: tuple[tuple[int, int], ...]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    validation: Array
    test: Array
    confused: Array


@dataclass(frozen=True)
class ClassEffect:
    """The effect of an op on an outcome, such as the recall of a class.

    It is the mean of the cells of the grid with the op minus the mean of those without it.
    """

    op: str
    of: str
    difference: Difference

    @property
    def is_clear(self) -> bool:
        """True if the interval excludes 0."""
        bounds = self.difference.bounds()
        return bounds is not None and (bounds[0] > 0 or bounds[1] < 0)


def profile_of(sweep: Results) -> Profile | None:
    """Return the recalls of the compositions; None without image results, as in sweeps of earlier versions.

    Image results are those of the main task, so there are none of a sweep that is read for a further one.
    """
    if sweep.task:
        return None
    ranked = order(sweep.grid).cells[:MOST_CELLS]
    names = names_of(sweep.experiment)
    validation: dict[str, dict[int, Array]] = {}
    test: dict[str, dict[int, Array]] = {}
    mixed: dict[str, Array] = {}
    images = np.zeros((len(names), 2), dtype=int)
    for trial, found in results_of(sweep, with_images(sweep, [cell.label for cell in ranked])):
        validation.setdefault(trial.label, {})[trial.seed] = recalls(found.validation, len(names))
        test.setdefault(trial.label, {})[trial.seed] = recalls(found.test, len(names))
        counts = [np.bincount(split.label, minlength=len(names)) for split in (found.validation, found.test)]
        images = np.stack(counts, axis=1)
        if trial.label == ranked[0].label:
            mixed[trial.id] = confusion(found.test, len(names)) / np.maximum(1, counts[1])[:, None]
    compared = largest({label: dict.fromkeys(known, 0.0) for label, known in test.items()})
    cells = tuple(cell for cell in ranked if cell.label in compared)
    if not cells:
        return None
    return Profile(
        names,
        tuple((int(a), int(b)) for a, b in images),
        cells,
        tuple(len(test[cell.label]) for cell in cells),
        means(validation, cells),
        means(test, cells),
        np.mean(list(mixed.values()), axis=0) if mixed else np.zeros((len(names), len(names))),
    )


def means(known: Mapping[str, Mapping[int, Array]], cells: Sequence[Cell]) -> Array:
    """Return the means over seeds of ``known[cell][seed]``, ``[classes]``, as ``[cells, classes]``.

    They are adjusted for the seeds that a cell lacks.
    """
    chosen = {cell.label: known[cell.label] for cell in cells}
    classes = len(next(iter(next(iter(chosen.values())).values())))
    columns = []
    for number in range(classes):
        values = {label: {seed: float(row[number]) for seed, row in seeds.items()} for label, seeds in chosen.items()}
        columns.append(list(adjusted(values).values()))
    return np.array(columns).T


def effects_of(sweep: Results, outcomes: Sequence[Outcome] = (), ops: Sequence[str] = ()) -> list[ClassEffect]:
    """Return the effects of ops on outcomes on the test images, as :func:`contrasts_of` does.

    Args:
        sweep: the sweep.
        outcomes: what is looked at; default: the recall of every class.
        ops: the ops; default: all of the grid.
    """
    return contrasts_of(sweep, {op: with_minus_without(sweep.grid, op) for op in ops or sweep.grid.ops}, outcomes)


def contrasts_of(
    sweep: Results, weights: Mapping[str, Mapping[str, float]], outcomes: Sequence[Outcome] = ()
) -> list[ClassEffect]:
    """Return contrasts of a grid's cells in outcomes on the test images, with intervals that hold for all at once.

    Seeds are paired: a seed's own effect on all cells cancels. The list is empty unless every cell of the grid has
    image results.

    Args:
        sweep: the sweep.
        weights: the weight of each cell in each contrast, by the name of the contrast.
        outcomes: what is looked at; default: the recall of every class.
    """
    names = names_of(sweep.experiment)
    if (
        sweep.task
        or len(sweep.grid.ops) < 2
        or len(sweep.grid.cells) > MOST_CELLS
        or (not outcomes and len(names) > MOST_CLASSES)
    ):
        return []
    values: dict[str, dict[str, dict[int, float]]] = {}
    images: dict[str, int] = {}
    parts: dict[str, dict[str, dict[int, Array]]] = {}
    labels = {cell.label for cell in sweep.grid.cells.values()}
    for trial, found in with_groups(results_of(sweep, with_images(sweep, labels))):
        outcomes = outcomes or [
            Outcome(names[number], (Share(int(number)),)) for number in np.unique(found.test.label).tolist()
        ]
        for outcome in outcomes:
            values.setdefault(outcome.name, {}).setdefault(trial.label, {})[trial.seed] = outcome.value(found.test)
            added = outcome.influence(found.test)
            parts.setdefault(outcome.name, {}).setdefault(trial.label, {})[trial.seed] = added
            images[outcome.name] = outcome.images(found.test)
    if any(set(largest(known)) != labels for known in values.values()):
        return []
    several = joint([modelled(values[name], parts[name], count) for name, count in images.items()], [*weights.values()])
    return [
        ClassEffect(op, name, difference)
        for name, row in zip(images, several, strict=True)
        for op, difference in zip(weights, row, strict=True)
    ]


def with_minus_without(grid: Grid, op: str) -> dict[str, float]:
    """Return weights for the mean of a grid's cells with ``op``, alone or in a pair, minus the mean of the others."""
    has = {cell.label: op in position for position, cell in grid.cells.items()}
    count = sum(has.values())
    return {label: 1 / count if is_in else -1 / max(1, len(has) - count) for label, is_in in has.items()}
