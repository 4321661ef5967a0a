"""The grids of several sweeps with the same ops side by side, such as one grid on several data sets.

A colour means the same in every panel: where a cell lies between this sweep's untrained encoder and its best cell.
With one scale of accuracies for all, the easiest data set would be bright throughout and the hardest one dark, and with
a scale from the lowest to the highest cell, a set on which nothing is learned would look like the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ablate.console import counted, filled
from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.figures.labels import NAMES
from ablate.report.figures.palette import UNSIGNED
from ablate.report.figures.panel import DENSE, MARK, contenders, draw_cells
from ablate.report.figures.panels import COLUMNS, Layout, own_names
from ablate.report.figures.scale import BELOW, Scale, above_untrained
from ablate.report.figures.style import STYLE, as_svg
from ablate.report.section import Section
from ablate.report.stats.order import order
from ablate.report.stats.winners import told_apart
from ablate.report.stats.words import judge, percent

FEWEST = 3  # sweeps; for two of them there is the comparison, which has more room


def alike(sweep: Results, others: Sequence[Results]) -> list[Results]:
    """Return the sweep and those of ``others`` whose grids have the same ops, by their labels.

    Return an empty list if they are fewer than three, for a single op, and beyond twenty ops.
    """
    ops = sweep.grid.ops
    same = [sweep, *(other for other in others if set(other.grid.ops) == set(ops))]
    return same if len(same) >= FEWEST and 1 < len(ops) <= DENSE else []


def draw(sweeps: Sequence[Results]) -> Figure:
    """Draw the grids of sweeps with the same ops, each on a scale of its own from its untrained encoder upwards."""
    ops = sweeps[0].grid.ops
    names, titles = own_names(ops), told_apart(sweeps)
    layout = Layout.fitting(len(sweeps), names)
    colours = [above_untrained(sweep.grid) for sweep in sweeps]
    lines = _caption(sweeps, colours, ops, COLUMNS)
    with mpl.rc_context(STYLE):
        figure, panels = layout.figure(lines)
        for axes, sweep, title, scale in zip(panels, sweeps, titles, colours, strict=False):
            grid = replace(sweep.grid, ops=ops)  # in the first sweep's order
            draw_cells(axes, grid, grid.metric, scale, layout.sizes, contenders(grid), names)
            _frame_best(axes, grid)
            axes.set_title("\n".join(filled(title, 36)), fontsize=9, fontweight="bold", parse_math=False)
            axes.xaxis.set_label_position("bottom")
            axes.set(xlabel=_floor(sweep), ylabel="")
        _draw_bar(figure, panels, sweeps)
    return figure


def section(sweeps: Sequence[Results]) -> list[Section]:
    """Return the section of the page with the figure of :func:`alike` sweeps; none without any."""
    if not sweeps:
        return []
    text = (
        f"The same grid in several sweeps. A colour says where a cell lies between {_start(sweeps)} and the best cell."
    )
    return [Section("Side by side", (text,), figure=as_svg(draw(sweeps)))]


def _floor(sweep: Results) -> str:
    """Return the line below a panel: its untrained encoder and its seeds."""
    untrained, seeds = sweep.grid.references.get("untrained"), counted(len(sweep.experiment.seeds), "seed")
    start = f"{sweep.grid.called('untrained')} {percent(untrained)}" if untrained and untrained.n else ""
    return f"{start or f'without {sweep.grid.start}'}; {seeds}"


def _start(sweeps: Sequence[Results]) -> str:
    """Return the encoder at which the scales begin: ``the untrained encoder or the encoder as given``."""
    return " or ".join(dict.fromkeys(sweep.grid.start for sweep in sweeps))


def _frame_best(axes: Axes, grid: Grid) -> None:
    best = order(grid).best
    for i, row in enumerate(grid.ops):
        for j, column in enumerate(grid.ops):
            if best and grid.cells[row, column].label == best.label:
                box = Rectangle((j + 0.04, i + 0.04), 0.92, 0.92, facecolor="none", edgecolor="#d7191c", lw=1.8)
                axes.add_patch(box)


def _draw_bar(figure: Figure, panels: Sequence[Axes], sweeps: Sequence[Results]) -> None:
    """Draw the one colour bar of all panels, which has no numbers since each panel has its own."""
    colours = mpl.cm.ScalarMappable(Normalize(0, 1), UNSIGNED)
    bar = figure.colorbar(colours, ax=panels, location="bottom", shrink=0.35, aspect=40)
    bar.set_ticks([0, 1], labels=[_start(sweeps).removeprefix("the "), "best cell of the panel"])
    bar.ax.tick_params(labelsize=7, length=0)
    bar.outline.set_visible(False)


def _caption(sweeps: Sequence[Results], colours: Sequence[Scale], ops: Sequence[str], columns: int) -> list[str]:
    """Return the lines below the figure: its metric, its scales and its marks."""
    titles, metrics = told_apart(sweeps), {sweep.grid.metric for sweep in sweeps}
    named = [f"{NAMES[metric]}: {_listed(sweeps, titles, metric)}" for metric in sorted(metrics)]
    sentences = [f"{NAMES[metrics.pop()] if len(metrics) == 1 else '; '.join(named)}."]
    sentences += ["Rows are the first op, columns the second. Every panel has its own scale."]
    wider = [title for title, scale in zip(titles, colours, strict=True) if scale.why]
    sentences += [f"It goes beyond the best cell, so that noise looks small: {', '.join(wider)}."] * bool(wider)
    sentences += [f"Framed: the best cell by {' or '.join(dict.fromkeys(judge(sweep.grid) for sweep in sweeps))}."]
    if any(contenders(sweep.grid) for sweep in sweeps):
        sentences += [f"{MARK} cannot be told from it (Hsu, 95 %)."]
    cells = [(cell, scale) for sweep, scale in zip(sweeps, colours, strict=True) for cell in sweep.grid.compositions]
    if any(scale.is_below_untrained(cell) for cell, scale in cells):
        sentences += [f"{BELOW} below {_start(sweeps)}."]
    full = [f"{name}: {op}" for name, op in zip(own_names(ops), ops, strict=True) if name != op]
    text = " ".join([*sentences, *([f"{'; '.join(full)}."] if full else [])])
    return filled(text[0].upper() + text[1:], columns)


def _listed(sweeps: Sequence[Results], titles: Sequence[str], metric: str) -> str:
    return ", ".join(title for sweep, title in zip(sweeps, titles, strict=True) if sweep.grid.metric == metric)
