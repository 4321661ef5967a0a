"""Where ops matter differently: the grids of other sweeps minus the first one, without the mean difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ablate.console import filled
from ablate.report.figures.labels import NAMES, UPRIGHT
from ablate.report.figures.palette import SIGNED, colour, ink_on
from ablate.report.figures.panel import DENSE, MARK, NARROW, frame, mark, write
from ablate.report.figures.panels import COLUMNS, Layout, own_names
from ablate.report.figures.scale import least_span
from ablate.report.figures.style import STYLE
from ablate.report.stats.comparison import Comparison
from ablate.report.stats.model import Difference


def draw(first: str, comparisons: Sequence[Comparison]) -> Figure | None:
    """Draw the differences of other grids from the first one, a panel each, with one scale around 0.

    The mean difference is taken out, and said below each panel. Images or methods that are easier throughout would
    fill a panel with one colour otherwise, and hide where ops matter differently.

    Args:
        first: the name of the first grid.
        comparisons: the first grid with every other one.

    Returns:
        The figure; None without a panel of at least two cells, and beyond twenty ops.
    """
    shown = [comparison for comparison in comparisons if comparison.n > 1]
    known = {op for comparison in shown for op in comparison.ours.ops}
    ops = [op for op in (shown[0].whole[0].ops if shown else ()) if op in known]
    if not shown or len(ops) > DENSE:
        return None
    names = own_names(ops)
    layout = Layout.fitting(len(shown), names, signed=True)
    limit = _limit(shown)
    lines = filled(_caption(first, shown, ops), COLUMNS)
    with mpl.rc_context(STYLE):
        figure, panels = layout.figure(lines)
        for axes, comparison in zip(panels, shown, strict=False):
            _draw_panel(axes, comparison, ops, layout, limit)
            title = filled(f"{comparison.name} minus {first}", 36)
            axes.set_title("\n".join(title), fontsize=9, fontweight="bold", parse_math=False)
            axes.set_xlabel(f"on average {100 * comparison.mean_difference:+z.1f} points")
            axes.xaxis.set_label_position("bottom")
        _draw_bar(figure, panels, limit)
    return figure


def _draw_panel(axes: Axes, comparison: Comparison, ops: Sequence[str], layout: Layout, limit: float) -> None:
    sizes = layout.sizes
    for (row, column), difference in comparison.beyond.items():
        x, y, value = ops.index(column), ops.index(row), difference.mean
        background = colour((value / limit + 1) / 2, SIGNED)
        axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
        if sizes.mean:
            write(axes, x, y + 0.5, f"{100 * value:+z.{sizes.decimals}f}", sizes.mean, ink_on(background))
        if _is_apart(difference):
            mark(axes, x + 0.97, y, MARK, sizes, ink_on(background))
    longest = max(map(len, layout.names))
    frame(axes, layout.names, layout.names, sizes, upright=longest > UPRIGHT or sizes.cell[0] < NARROW)


def _is_apart(difference: Difference) -> bool:
    """Return True if the interval excludes 0."""
    bounds = difference.bounds()
    return bounds is not None and (bounds[0] > 0 or bounds[1] < 0)


def _limit(comparisons: Sequence[Comparison]) -> float:
    """Return the upper end of the scale, as a fraction: the largest difference, or more so that noise looks small."""
    largest = max(abs(value.mean) for comparison in comparisons for value in comparison.beyond.values())
    spans = [math.hypot(*(least_span(grid)[0] for grid in comparison.whole)) for comparison in comparisons]
    return max(largest, *(span / 2 for span in spans))


def _caption(first: str, comparisons: Sequence[Comparison], ops: Sequence[str]) -> str:
    """Return the text below the figure: what is shown, its marks, and the full names of ops."""
    metric = NAMES[comparisons[0].ours.metric].removesuffix(" (%)")
    sentences = [
        f"{metric[0].upper()}{metric[1:]}, points: every grid minus {first}, without the mean difference, which stands "
        f"below each panel. Blue: better than under {first}, compared with the other cells; red: worse.",
        "Rows are the first op, columns the second.",
    ]
    if any(comparison.n < len(ops) ** 2 for comparison in comparisons):
        sentences += ["Empty: one of the two has no result."]
    differences = [value for comparison in comparisons for value in comparison.beyond.values()]
    if any(map(_is_apart, differences)):
        sentences += [f"{MARK} differs from 0 by its 95 % interval; those of a panel hold together."]
    elif all(value.low is not None for value in differences):
        sentences += ["No cell differs from 0 by its 95 % interval; those of a panel hold together."]
    if unsure := [one.name for one in comparisons if any(value.low is None for value in one.beyond.values())]:
        where = f" ({', '.join(unsure)})" if len(unsure) < len(comparisons) else ""
        sentences += [f"With one seed{where}, no noise is known: differences may be chance."]
    full = [f"{name}: {op}" for name, op in zip(own_names(ops), ops, strict=True) if name != op]
    return " ".join([*sentences, *([f"{'; '.join(full)}."] if full else [])])


def _draw_bar(figure: Figure, panels: Sequence[Axes], limit: float) -> None:
    colours = mpl.cm.ScalarMappable(Normalize(-100 * limit, 100 * limit), SIGNED)
    bar = figure.colorbar(colours, ax=panels, location="bottom", shrink=0.35, aspect=40)
    bar.ax.tick_params(labelsize=7, length=0)
    bar.outline.set_visible(False)
