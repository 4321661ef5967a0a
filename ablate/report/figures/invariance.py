"""The map "trained with, invariant to": rows are the ops trained with, columns the ops that were tested."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ablate.config.measure import in_short
from ablate.files import write_atomically
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.figures.labels import UPRIGHT, short_names
from ablate.report.figures.palette import colour, ink_on
from ablate.report.figures.panel import DENSE, Sizes, frame, write
from ablate.report.figures.style import STYLE, as_svg
from ablate.report.section import Section
from ablate.report.stats.invariances import KINDS, Invariances, Values, invariances, mean_and_deviation

TITLES = {
    "invariance": "invariance of h",
    "z_invariance": "invariance of z",
    "told": "told from h (%)",
    "z_told": "told from z (%)",
}
CELL = (0.5, 0.3)  # inches
MAP = "Trained with, invariant to"
INVARIANCE = "Invariance is 1 if the op does not move the features, and 0 if it moves them as far as to another image."
TOLD = "Told: how often a linear probe tells that the op was applied to a test image; chance is 50 %."
BESIDES = 3  # other ops that a sentence names
LITTLE = 0.05  # a change of invariance that is not worth a word


def draw(sweep: Results, found: Invariances, kinds: Sequence[str] = KINDS) -> Figure:
    """Draw a panel for each kind of metric: invariance and told, of h and, where it was evaluated, of z.

    Rows are the references and the ops alone or, without a grid, the compositions, each with its accuracy.

    Args:
        sweep: the sweep.
        found: its invariances.
        kinds: the kinds to draw, of those that were measured.
    """
    kinds, columns, rows = [kind for kind in kinds if found.has(kind)], _columns(found), _rows(sweep, found)
    names = [_named(cell, name) for name, cell in rows]
    label = 0.06 * max(map(len, names)) + 0.2
    across, down = min(2, len(kinds)), -(-len(kinds) // 2)
    size = across * len(columns) * CELL[0] + label + 0.5, down * (len(rows) * CELL[1] + 0.75)
    sizes = Sizes(cell=CELL, mean=7.0, below=4.5)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        for number, kind in enumerate(kinds):
            axes = figure.add_subplot(down, across, number + 1)  # subplots() would draw an empty frame beside three
            for y, (_, cell) in enumerate(rows):
                for x, op in enumerate(columns):
                    _draw_cell(axes, x, y, found.rows[cell.label].get(f"{kind}_{op}", {}), kind)
            beside = number % across > 0
            frame(axes, columns, [""] * len(rows) if beside else names, sizes, upright=max(map(len, columns)) > UPRIGHT)
            axes.set_xlabel(TITLES[kind], fontsize=8)
            axes.set_ylabel("" if beside else "trained with", fontsize=8)
    return figure


def section(sweep: Results) -> list[Section]:
    """Return the map of invariance, which stands beside the cells of a grid, and what else says what each op taught.

    There is nothing if no invariance is on record.
    """
    found = invariances(sweep)
    if found is None:
        return []
    first, *others = filter(found.has, KINDS)
    rows = (
        f"Rows: what the encoder was trained with, and its {in_short(sweep.grid.measure)}. Columns: the op that is "
        "applied to test images."
    )
    beside = Section(MAP, (rows, INVARIANCE), figure=as_svg(draw(sweep, found, [first])), beside=True)
    rest = as_svg(draw(sweep, found, others)) if others else ""
    return [beside, Section("What each op taught", (*sentences(found), TOLD), figure=rest)]


def sentences(found: Invariances) -> list[str]:
    """Return a sentence for each op that some compositions were trained with and others not."""
    said = []
    for op, values in found.effects.items():
        if f"invariance_{op}" not in values:
            continue
        means = {name: mean_and_deviation(values[f"invariance_{name}"])[0] for name in found.tested if name != op}
        raised = sorted((name for name in means if means[name] >= LITTLE), key=lambda name: -means[name])[:BESIDES]
        lowered = sorted((name for name in means if means[name] <= -LITTLE), key=lambda name: means[name])[:BESIDES]
        text = f"Training with {op} changes the invariance to {op} by {_spread(values[f'invariance_{op}'])}"
        also = f"; it also raises that to {_listed(raised, means)}" if raised else ""
        less = f"; it lowers that to {_listed(lowered, means)}" if lowered else ""
        said.append(f"{text}{also}{less}.")
    if said:
        seeds = max(len(by_seed) for values in found.effects.values() for by_seed in values.values())
        said.append(
            "Changes are the mean over the compositions with the op minus the mean over those without it"
            + (f", ± standard deviation over {seeds} seeds." if seeds > 1 else ", of one seed.")
        )
    return said


def write_csv(found: Invariances, path: Path) -> None:
    """Write one row per tested op for each composition and reference, and for the effect of each op trained with.

    Columns: ``kind`` (cell or effect), ``label``, ``op`` (the tested one), ``n``, and mean and standard deviation of
    each metric. Effects are differences; their label is ``trained with OP``.
    """
    rows: list[dict[str, Any]] = []
    effects = {f"trained with {op}": values for op, values in found.effects.items()}
    for kind, part in (("cell", found.rows), ("effect", effects)):
        for label, values in part.items():
            rows += [{"kind": kind, "label": label, "op": op, **_numbers(values, op)} for op in found.tested]
    text = io.StringIO()
    heads = [f"{name}_{end}" for name in KINDS if found.has(name) for end in ("mean", "std")]
    writer = csv.DictWriter(text, ["kind", "label", "op", "n", *heads], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def _numbers(values: Values, op: str) -> dict[str, str]:
    numbers: dict[str, str] = {}
    for name in KINDS:
        if seeds := values.get(f"{name}_{op}"):
            mean, deviation = mean_and_deviation(seeds)
            numbers |= {"n": str(len(seeds)), f"{name}_mean": f"{mean:.4f}"}
            numbers |= {f"{name}_std": f"{deviation:.4f}"} if deviation is not None else {}
    return numbers


def _columns(found: Invariances) -> tuple[str, ...]:
    return (found.trained or found.tested)[:DENSE]


def _rows(sweep: Results, found: Invariances) -> list[tuple[str, Cell]]:
    """Return the rows with their names: references, then ops alone or, without a grid, the first compositions."""
    grid = sweep.grid
    own = grid.singles if grid.ops else grid.with_results
    cells = [(grid.called(name), cell) for name, cell in grid.references.items()]
    cells += list(zip(short_names([cell.label for cell in own]), own, strict=True))
    return [(name, cell) for name, cell in cells if cell.label in found.rows][:DENSE]


def _named(cell: Cell, name: str) -> str:
    mean = cell.mean()
    return name if mean is None else f"{name}  {100 * mean:.0f} %"


def _draw_cell(axes: Axes, x: int, y: int, seeds: Mapping[int, float], kind: str) -> None:
    if not seeds:
        write(axes, x, y + 0.5, "-", 7, "#666666")
        return
    mean, deviation = mean_and_deviation(seeds)
    told = kind.endswith("told")
    background = colour(2 * mean - 1 if told else mean)
    axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
    ink, digits = ink_on(background), 0 if told else 2
    factor = 100 if told else 1
    write(axes, x, y + (0.5 if deviation is None else 0.36), f"{factor * mean:z.{digits}f}", 7, ink)
    if deviation is not None:
        write(axes, x, y + 0.76, f"± {factor * deviation:.{digits}f}", 4.5, ink)


def _spread(seeds: Mapping[int, float]) -> str:
    mean, deviation = mean_and_deviation(seeds)
    return f"{mean:+.2f}" if deviation is None else f"{mean:+.2f} ± {deviation:.2f}"


def _listed(names: Sequence[str], means: dict[str, float]) -> str:
    return ", ".join(f"{name} ({means[name]:+.2f})" for name in names)
