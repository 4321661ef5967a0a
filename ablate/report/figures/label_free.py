"""Rank correlations of label-free metrics with linear evaluation, and the accuracy lost by choosing with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ablate.config.measure import in_short
from ablate.report.data.grid import Cell, Grid
from ablate.report.figures.labels import NAMES
from ablate.report.figures.style import STYLE
from ablate.report.section import Section
from ablate.report.stats.order import scores
from ablate.report.stats.ranks import FEWEST, correlation_in_words, ops_of, spearman

METRICS = {
    "rotation_val_top1": ("rotation prediction on validation", 1),
    "rankme": ("RankMe", 1),
    "lidar": ("LiDAR", 1),
    "common_alignment": ("alignment", -1),
    "common_uniformity": ("uniformity", -1),
    "alignment": ("alignment, own pairs", -1),
    "uniformity": ("uniformity, own views", -1),
}
"""The name of each metric, and its better direction as its authors see it: more (1) or less (-1)."""
OWN = ("alignment", "uniformity")
"""Metrics of earlier versions, on every composition's own augmentations; not to be mixed with the two above."""


@dataclass(frozen=True)
class Agreement:
    """A label-free metric against linear accuracy over ``n`` cells.

    ``rho`` is Spearman's correlation, with the metric in its better direction; ``text`` is the same in words, with its
    95 % interval by resampling ops. ``chosen`` is the cell that the metric would have chosen, and ``regret`` the linear
    accuracy (a fraction) that this choice would have cost.
    """

    metric: str
    rho: float
    text: str
    n: int
    chosen: str
    regret: float


def agreements(grid: Grid) -> list[Agreement]:
    """Return the agreement of every label-free metric that at least four cells have beside linear evaluation."""
    if not grid.is_linear:
        return []
    return [_agreement(metric, cells) for metric in METRICS if len(cells := _judged(grid, metric)) >= FEWEST]


def section(grid: Grid) -> list[Section]:
    """Return the agreements as a section of the page; nothing without such metrics."""
    shown = agreements(grid)
    if not shown:
        return []
    what = in_short(grid.measure)
    text = (
        f"Spearman's rank correlation with linear {what} over the cells, with a 95 % interval by resampling ops, and "
        f"the {what} that is lost by choosing without labels."
    )
    texts = [text]
    if any(a.metric in OWN for a in shown):
        texts.append(
            "An earlier version measured alignment and uniformity of own pairs, with every composition's own "
            "augmentations. There a weaker composition is better by construction, so these correlations mean little. "
            "To evaluate kept encoders again, run ablate evaluate --protocol alignment."
        )
    rows = tuple(
        (
            METRICS[a.metric][0],
            a.text,
            str(a.n),
            a.chosen,
            f"{100 * a.regret:.1f} points",
        )
        for a in shown
    )
    return [
        Section(
            "Choosing without labels", tuple(texts), ("metric", "correlation", "cells", "would choose", "cost"), rows
        )
    ]


def scatter(grid: Grid, shown: Sequence[Agreement]) -> Figure:
    """Draw linear accuracy against every metric, one panel each.

    A ring marks the cell that the metric would choose.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * len(shown) + 0.6, 2.5), layout="constrained")
        for axes, a in zip(figure.subplots(1, len(shown), sharey=True, squeeze=False)[0], shown, strict=True):
            cells = _judged(grid, a.metric)
            x, y = [cell.mean(a.metric) or 0.0 for cell in cells], [100 * (cell.mean() or 0.0) for cell in cells]
            axes.scatter(x, y, s=10, color="#31688e", linewidths=0)
            at = [cell.label for cell in cells].index(a.chosen)
            axes.scatter([x[at]], [y[at]], s=45, facecolors="none", edgecolors="#b2182b", linewidths=1)
            better = "" if METRICS[a.metric][1] > 0 else ", less is better"
            axes.set_xlabel(f"{METRICS[a.metric][0]}{better}", fontsize=7)
            axes.set_title(f"rho = {a.text}", fontsize=7)
            axes.tick_params(labelsize=6)
            axes.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel(NAMES[grid.metric], fontsize=7)
    return figure


def _judged(grid: Grid, metric: str) -> list[Cell]:
    return [cell for cell in grid.with_results if cell.seeds(metric)]


def _agreement(metric: str, cells: Sequence[Cell]) -> Agreement:
    sign = METRICS[metric][1]
    judged = sign * np.array(scores(cells, metric))
    linear = np.array(scores(cells, cells[0].metric))
    chosen = int(judged.argmax())
    ranks = judged.tolist(), linear.tolist()
    rho, text = spearman(*ranks), correlation_in_words(*ranks, [ops_of(cell) for cell in cells])
    return Agreement(metric, rho, text, len(cells), cells[chosen].label, float(linear.max() - linear[chosen]))
