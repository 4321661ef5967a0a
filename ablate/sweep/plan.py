"""Expand an experiment into its trials, and read and write ``sweep.toml``; needs no torch and touches no data."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from ablate.config.base import RECORDED
from ablate.config.objectives import Method
from ablate.config.sweep import NamedComposition, NamedOp, SweepPlan, Trial, Variant
from ablate.config.trial import Reference
from ablate.console import counted
from ablate.errors import UsageError, nearest, sentence
from ablate.files import write_atomically
from ablate.sweep.layout import PLAN, SweepDir

NAMED = 8  # the most sweeps that an error message names


def cell_label(row: str, column: str) -> str:
    """Return the label of a cell: ``crop+color``, or ``crop`` on the diagonal, where the op is applied once."""
    return row if row == column else f"{row}+{column}"


def after_first(first: NamedComposition | None, cell: NamedComposition) -> NamedComposition:
    """Return a cell of the grid as the composition of the second view, behind that of the first if there is one."""
    if first is None:
        return cell
    second = None if cell.ops == first.ops else cell.ops
    return NamedComposition(label=f"{first.label}|{cell.label}", ops=first.ops, second=second)


def plan(experiment: SweepPlan) -> list[Trial]:
    """Return every trial of the sweep, in order.

    For each seed there are the references, the cells of the grid row by row, and the compositions beside the grid. A
    grid of k ops has k² cells: k single ops and k(k-1) ordered pairs, or fewer if the experiment says so. Cells and
    compositions are repeated at every variant. The seeds of a cell share one configuration and thus its key, which is
    hashed once. In rounds of seeds, a cell that was dropped has the seeds that it got until then. Within a budget,
    there are only the cells that were asked for. Further seeds of the untrained encoder come last.
    """
    asked = experiment.budgeted
    cells = [(cell, place) for cell, place in cells_of(experiment) if asked is None or cell.label in asked.cells]
    one_seed = [_reference(experiment, name) for name in experiment.references]
    for variant in experiment.variants or (Variant(values={}, shared=experiment.shared),):
        there = [(cell, place) for cell, place in cells if cell.label not in variant.excluded]
        one_seed += [_placed(variant, cell) | place for cell, place in there]
    dropped = experiment.rounds.dropped if experiment.rounds else {}
    trials = [
        Trial(seed=seed, **cell)
        for number, seed in enumerate(experiment.seeds)
        for cell in one_seed
        if "reference" in cell or number < dropped.get(cell["label"], len(experiment.seeds))
    ]
    more = [seed for seed in experiment.untrained_seeds if seed not in experiment.seeds]
    untrained = [cell for cell in one_seed if cell.get("reference") == "untrained"]
    return trials + [Trial(seed=seed, **cell) for seed in more for cell in untrained]


def pairs(ops: Sequence[NamedOp], unordered: bool, pairs_with: Collection[str]) -> list[tuple[NamedOp, NamedOp]]:
    """Return the cells of a grid, row by row; on the diagonal an op stands alone.

    Args:
        ops: the ops of the rows and columns.
        unordered: keep one of the two orders of each pair.
        pairs_with: labels of ops; if there are any, keep only the pairs that hold one of them. See :class:`SweepPlan`.
    """
    return [
        (row, column)
        for i, row in enumerate(ops)
        for j, column in enumerate(ops)
        if i == j
        or ((i < j or not unordered) and (not pairs_with or not {row.label, column.label}.isdisjoint(pairs_with)))
    ]


def cells_of(experiment: SweepPlan) -> list[tuple[NamedComposition, dict[str, str]]]:
    """Return the cells of the grid with their places in it, row by row, and the compositions beside it.

    All of them are returned, also those that a budget leaves out.
    """
    grid = grid_cells(experiment.ops, experiment.first, experiment.unordered, experiment.pairs_with)
    return [*grid, *((composition, {}) for composition in experiment.compositions)]


def grid_cells(
    ops: Sequence[NamedOp], first: NamedComposition | None, unordered: bool, pairs_with: Collection[str]
) -> list[tuple[NamedComposition, dict[str, str]]]:
    """Return the cells of a grid with their row and column, row by row.

    Args:
        ops: as for :func:`pairs`.
        first: the composition of the first view, if the grid is of the second view alone.
        unordered: as for :func:`pairs`.
        pairs_with: as for :func:`pairs`.
    """
    cells = []
    for row, column in pairs(ops, unordered, pairs_with):
        alone = row.label == column.label
        named = NamedComposition(
            label=cell_label(row.label, column.label), ops=(row.op,) if alone else (row.op, column.op)
        )
        cells.append((after_first(first, named), {"row": row.label, "column": column.label}))
    return cells


def _placed(variant: Variant, composition: NamedComposition) -> dict[str, Any]:
    """Return the fields that the trials of a cell share."""
    label = composition.label
    return {
        "label": f"{label}, {variant}" if variant.values else label,
        "config": variant.shared.replace(composition=composition.ops, second=composition.second),
        "point": variant.values,
    }


def _reference(experiment: SweepPlan, name: Reference) -> dict[str, Any]:
    """Return the fields of a reference.

    It is the untrained encoder, the pair without augmentation, or the encoder trained with labels and crops.
    """
    shared = experiment.shared
    none = {"method": Method()}  # the settings of the cells' objective alone
    supervised = {"objective": "supervised", "composition": (experiment.reference_crop,), "loss_scale": 1.0, **none}
    config = {
        "untrained": lambda: shared.replace(objective="untrained", epochs=0, **none),
        "no-op": lambda: shared,
        "supervised": lambda: shared.replace(**supervised),
    }[name]()
    return {"config": config, "label": name, "reference": name}


def save_plan(directory: Path, experiment: SweepPlan) -> None:
    """Write ``DIR/sweep.toml``, and the experiment file and weights that it came from, if any; each atomically."""
    keep_weights(directory, experiment.weights)  # first, since whoever finds the plan may train it
    content = experiment.model_dump(mode="json", exclude_none=True)
    write_atomically(SweepDir(directory).plan, tomli_w.dumps(content))
    if experiment.source:
        write_atomically(SweepDir(directory).experiment, experiment.source)


def keep_weights(directory: Path, weights: Mapping[str, bytes]) -> None:
    """Write the files of given weights, by their hash, that ``directory`` lacks or that hold anything else."""
    for name, content in weights.items():
        file = SweepDir(directory).init(name)
        if not file.is_file() or file.read_bytes() != content:
            write_atomically(file, content)


def is_sweep(directory: Path) -> bool:
    """Return True if ``directory`` holds a sweep's plan; False also for a name that no disk can hold."""
    try:
        return (SweepDir(directory).plan).is_file()
    except OSError:
        return False


def load_plan(directory: str | Path) -> SweepPlan:
    """Read ``DIR/sweep.toml``.

    Raises:
        UsageError: the directory is not a sweep's, or the file is damaged.
    """
    path = SweepDir(Path(directory)).plan
    if not path.is_file():
        raise UsageError(_not_a_sweep(Path(directory)))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        for config in (content["shared"], *(variant["shared"] for variant in content.get("variants", ()))):
            config.setdefault("base", None)  # TOML has no null: an absent base means None
        return SweepPlan.model_validate(content, context=RECORDED)
    except ValidationError as error:
        raise UsageError(f"{path} is damaged, or another version of ablate wrote it: {sentence(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def _not_a_sweep(directory: Path) -> str:
    """Say why ``directory`` is not a sweep's.

    It may be missing, a file, a directory of ``ablate train``, or the parent of sweeps.
    """
    if not directory.exists():
        beside = directory.parent.glob(f"*/{PLAN}") if directory.parent.is_dir() else ()
        return f"there is no directory {directory}{nearest(str(directory), [str(path.parent) for path in beside])}"
    if not directory.is_dir():
        return f"{directory} is not a sweep directory: it is a file"
    below = sorted(str(path.parent) for path in directory.glob(f"*/{PLAN}"))
    if below:
        more = f" and {len(below) - NAMED} more" if len(below) > NAMED else ""
        return f"{directory} is not a sweep directory; it holds the sweeps {', '.join(below[:NAMED])}{more}"
    paths = SweepDir(directory)
    trained = len(list(paths.trials.glob("[!.]*.json")))
    if trained:
        return (
            f"{directory} is not a sweep directory: it has no {PLAN}. `ablate train` has written "
            f"{counted(trained, 'record')} to {paths.trials} and its logs to {paths.logs}; to read the records from "
            f'Python: ablate.load_results("{directory}")'
        )
    return f"{directory} is not a sweep directory: it has no {PLAN}"
