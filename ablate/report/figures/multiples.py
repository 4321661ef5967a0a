"""Training curves of every cell, in the grid's layout: loss and validation kNN by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ablate.config.measure import KNN, measured_by
from ablate.report.data.results import Results
from ablate.report.figures.labels import UPRIGHT, heading_height, short_names
from ablate.report.figures.panel import DENSE
from ablate.report.figures.style import STYLE
from ablate.sweep.record import TrialResult

CELL = 0.62  # inches
MARGIN = 0.07  # fraction of a cell that is empty around its curves
KINDS = {"loss": ("loss", "#999999"), KNN: ("kNN on validation", "#31688e")}
Points = list[tuple[float, float]]


def multiples(sweep: Results) -> Figure | None:
    """Draw the training curves of every cell, one line per seed; each quantity has one scale for all cells.

    Return None without curves, or with more than twenty ops.
    """
    ops = sweep.grid.ops
    if not ops or len(ops) > DENSE:
        return None
    position = {(a, b): (j, i) for i, a in enumerate(ops) for j, b in enumerate(ops)}
    by_kind = {kind: _histories(sweep, measured_by(kind, sweep.grid.measure)) for kind in KINDS}
    if not any(by_kind.values()):
        return None
    k, label = len(ops), 0.065 * max(len(name) for name in short_names(ops)) + 0.45
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(label + k * CELL + 0.4, k * CELL + heading_height(ops) + 0.9), layout="constrained")
        axes = figure.subplots()
        for x, y in position.values():
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor="#dddddd", lw=0.6))
        handles = []
        for kind, histories in by_kind.items():
            if not histories:
                continue
            name, colour = KINDS[kind]
            low, high = _limits([points for _, points in histories])
            lines = [_placed(points, position[where], sweep, low, high) for where, points in histories]
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.8, alpha=0.8))
            scale = f"{low:.2f} to {high:.2f}" if kind == "loss" else f"{100 * low:.0f} to {100 * high:.0f} %"
            handles.append(Line2D([], [], color=colour, lw=1.2, label=f"{name} ({scale})"))
        names = short_names(ops)
        upright = 90 if max(map(len, names)) > UPRIGHT else 0
        axes.set(xlim=(0, k), ylim=(k, 0), xlabel="second op", ylabel="first op")
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xticks(np.arange(k) + 0.5, names, fontsize=7.5, rotation=upright, parse_math=False)
        axes.set_yticks(np.arange(k) + 0.5, names, fontsize=7.5, parse_math=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.legend(handles=handles, loc="outside lower center", fontsize=6.5, frameon=False, ncols=1)
    return figure


def _histories(sweep: Results, kind: str) -> list[tuple[tuple[str, str], Points]]:
    """Return the place of each trial of the grid with its curve."""
    curves = []
    for trial in sweep.trials:
        record = sweep.records.get(trial.id)
        if record and trial.row is not None and trial.column is not None and (points := _points(record, kind)):
            curves.append(((trial.row, trial.column), points))
    return curves


def _points(record: TrialResult, kind: str) -> Points:
    return [(float(entry["epoch"] or 0), value) for entry in record.history if (value := entry.get(kind)) is not None]


def _limits(curves: Sequence[Points]) -> tuple[float, float]:
    values = [value for points in curves for _, value in points]
    return min(values), max(values)


def _placed(
    points: Points, where: tuple[int, int], sweep: Results, low: float, high: float
) -> list[tuple[float, float]]:
    """Scale and move the curve into its cell."""
    (x, y), epochs, span = where, sweep.experiment.shared.epochs, (high - low) or 1.0
    inside = 1 - 2 * MARGIN
    return [
        (x + MARGIN + inside * epoch / max(1, epochs), y + 1 - MARGIN - inside * (value - low) / span)
        for epoch, value in points
    ]
