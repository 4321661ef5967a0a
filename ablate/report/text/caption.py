"""``report/caption.txt``: the caption of the heatmap in a paper, in sentences."""

from __future__ import annotations

from ablate.config.measure import Measure
from ablate.console import counted
from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.figures.labels import spelled_out
from ablate.report.figures.panel import MARK
from ablate.report.figures.scale import BELOW, Scale, scale
from ablate.report.stats.adapting import start
from ablate.report.stats.model import CONFIDENCE
from ablate.report.stats.noise import condition, unequal
from ablate.report.stats.order import order
from ablate.report.stats.predicted import NOT_RUN, predicted_cells
from ablate.report.stats.words import judge, percent

SHOWN: dict[Measure, str] = {
    "top1": "Top-1 accuracy",
    "balanced": "Balanced accuracy (the mean of the classes' recalls)",
    "f1": "Macro F1 (the mean of the classes' F1)",
    "auroc": "AUROC (each class against the rest, the mean over the classes)",
    "ap": "Average precision (each class against the rest, the mean over the classes)",
    "r2": "R² (the share of the variance that ridge regression explains)",
}
LONG = 10_000  # columns, so that a label takes one line


def caption(sweep: Results) -> str:
    """Return the caption, one sentence per line.

    It names the data, the setting, n, the meaning of cells and dots, and the conditions on which the intervals hold.
    """
    grid, shared = sweep.grid, sweep.experiment.shared
    judged = "linear evaluation" if grid.is_linear else "rotation prediction"
    first = sweep.experiment.first
    crop = " after a crop that both views share" * shared.share_crop
    lines = [
        f"{SHOWN[grid.measure]} of {judged} (%) on {shared.data.name} for {shared.branches}-branch compositions of "
        f"augmentations{crop} ({shared.encoder.name}, {shared.objective}, {counted(shared.epochs, 'epoch')}).",
        "Rows show the first op and columns the second; the diagonal is the op alone, the last column the row average.",
        *([f"All of these are for the second view; the first goes through {first.label}."] if first else []),
        *sweep.measured,
        _seeds(grid),
        *grid.seldom,
    ]
    lines += [said] if (said := start(sweep)) else []
    known = [f"{grid.called(name)} {percent(cell)}" for name, cell in grid.references.items() if cell.n]
    lines += [f"References: {', '.join(known)}."] if known else []
    model = order(grid).model
    if model:
        over = "" if grid.left is None else ", over all rounds of seeds,"
        lines.append(
            f"A dot ({MARK}) marks the cells that cannot be told from the best by {judge(grid)}: Hsu's multiple "
            f"comparisons with the best at {100 * CONFIDENCE:.0f} %{over} on a two-way cell and seed model, since "
            "cells share seeds, with a moderated variance for each cell (residual over all: "
            f"{100 * model.sigma:.1f} points, {model.df} degrees of freedom); "
            f"{condition(model)}."
        )
        lines += unequal(model)
    colours = scale(grid)
    if colours.untrained is not None:
        lines.append(_on_the_bar(grid, colours))
    if any(colours.is_below_untrained(cell) for cell in grid.cells.values()):
        lines.append(f"A triangle ({BELOW}) marks the cells below it on the test set.")
    lines += [colours.why] if colours.why else []
    if predicted_cells(sweep):
        lines.append(NOT_RUN)
    lines += [f"{line}." for line in spelled_out(grid.ops, LONG)]
    return "\n".join(lines) + "\n"


def _on_the_bar(grid: Grid, colours: Scale) -> str:
    """Return the sentence that says where the untrained encoder is; no line is drawn outside the colour bar."""
    if colours.beyond:
        start = grid.start[0].upper() + grid.start[1:]
        return f"{start}{', not trained further,' if grid.given else ''} is {colours.beyond} the colour bar."
    return f"The line on the colour bar is {grid.start}{', not trained further' if grid.given else ''}."


def _seeds(grid: Grid) -> str:
    counts = {cell.n for cell in grid.with_results}
    if not counts:
        return "No composition has a result yet."
    if counts == {1}:
        return "n = 1 seed: the noise is unknown."
    low, high = min(counts), max(counts)
    n = f"n = {high} seeds" if low == high else f"n = {low} to {high} seeds"
    return f"Means ± standard deviations over {n}; where cells are small, the deviations are in table.csv."
