"""Accuracy against strength: sweeps whose compositions differ in one number of one op (Table 1 of the paper)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.config import OpSpec
from ablate.report.grid import Cell
from ablate.report.heatmap import NAMES, STYLE
from ablate.report.sweep import Sweep

FEWEST = 3  # strengths that make an axis
COLOURS = ("#31688e", "#b2182b", "#35b779", "#8a6d00")


@dataclass(frozen=True)
class Axis:
    """The cells of a sweep along ``parameter`` of ``op``, in the order of its values."""

    op: str
    parameter: str
    cells: tuple[tuple[float, Cell], ...]


def axis(sweep: Sweep) -> Axis | None:
    """The longest such axis among the compositions that have a result; None with fewer than three values."""
    specs = {trial.label: trial.config.composition for trial in sweep.trials if trial.reference is None}
    groups: dict[tuple[str, str, str], dict[float, Cell]] = defaultdict(dict)
    for cell in sweep.grid.with_results:
        for place, spec in enumerate(specs[cell.label]):
            for name, value in spec.params.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    groups[_others(specs[cell.label], place, name), spec.name, name].setdefault(float(value), cell)
    (_, op, parameter), cells = max(groups.items(), key=lambda item: len(item[1]), default=(("", "", ""), {}))
    return Axis(op, parameter, tuple(sorted(cells.items()))) if len(cells) >= FEWEST else None


def draw(sweeps: Sequence[tuple[Sweep, Axis]]) -> Figure:
    """A line per sweep with standard deviations over seeds, and the first sweep's references as dashed lines."""
    first, along = sweeps[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.7), layout="constrained")
        axes = figure.subplots()
        for colour, (sweep, found) in zip(COLOURS, sweeps, strict=False):
            means = [100 * (cell.mean() or 0.0) for _, cell in found.cells]
            spread = [100 * (cell.std() or 0.0) for _, cell in found.cells]
            label = sweep.experiment.shared.objective
            values = [value for value, _ in found.cells]
            axes.errorbar(values, means, spread, color=colour, marker="o", ms=3, lw=1, capsize=2, label=label)
        _references(axes, first)
        axes.set_xlabel(f"{along.parameter} of {along.op}", fontsize=7.5, parse_math=False)
        axes.set_ylabel(NAMES[first.grid.metric], fontsize=7.5)
        axes.tick_params(labelsize=6.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=6.5, frameon=False)
    return figure


def _references(axes: Axes, sweep: Sweep) -> None:
    for name, cell in sweep.grid.references.items():
        mean = cell.mean()
        if mean is not None:
            axes.axhline(100 * mean, color="#999999", ls="--", lw=0.8)
            axes.annotate(
                name, (1, 100 * mean), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=6
            )


def _others(composition: Sequence[OpSpec], place: int, name: str) -> str:
    """The composition without that one number."""
    plain = [spec.model_dump(mode="json") for spec in composition]
    plain[place]["params"] = {key: value for key, value in plain[place]["params"].items() if key != name}
    return json.dumps([place, plain], sort_keys=True)
