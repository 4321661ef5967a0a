"""A forest plot: what each change to a baseline composition does to accuracy, with joint intervals and a table."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.config.measure import in_short
from ablate.console import shortened
from ablate.report.data.results import Results
from ablate.report.figures.style import STYLE, as_svg
from ablate.report.section import Section
from ablate.report.stats.baseline import effects_of, findings
from ablate.report.stats.effect import COST, Effect, Finding
from ablate.report.stats.words import in_points, judge, percent, sample_size

COLOURS: dict[Finding, str] = {
    "raises": "#2166ac",
    "costs little": "#1b7837",
    "lowers": "#b2182b",
    "undecided": "#666666",
}
MARKERS: dict[Finding, str] = {"raises": "^", "costs little": "D", "lowers": "v", "undecided": "o"}
LONGEST = 40  # characters of a row's label
ROW = 0.24  # inches


def draw(sweep: Results, effects: Sequence[Effect]) -> Figure:
    """Draw the difference of every cell from the baseline, in points, one row each, the first on top.

    Args:
        sweep: the sweep.
        effects: the effects, in the order of the rows.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 1.0 + ROW * len(effects)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(-100 * COST, 0, color="#e6e6e6", lw=0)
        axes.axvline(0, color="black", lw=0.8)
        for row, effect in enumerate(effects):
            colour, bounds = COLOURS[effect.finding], effect.difference.bounds()
            if bounds:
                axes.plot([100 * bounds[0], 100 * bounds[1]], [row, row], color=colour, lw=1.4)
            fill = colour if bounds else "white"
            axes.plot([100 * effect.difference.mean], [row], MARKERS[effect.finding], color=colour, mfc=fill, ms=4.5)
        axes.set_yticks(range(len(effects)), [shortened(effect.label, LONGEST) for effect in effects], fontsize=7)
        axes.set_ylim(len(effects) - 0.5, -0.5)
        against = "the baseline" if effects[0].cell else "cells with the op"
        said = [f"points of {judge(sweep.grid)}", f"against {against}; grey: a cost below {100 * COST:g} point"]
        known = {effect.difference.n for effect in effects if effect.difference.bounds()}
        if known:
            said.append(f"lines: 95 % intervals for all at once, {sample_size(known)}")
        if not all(effect.difference.bounds() for effect in effects):
            said.append("hollow: no interval")
        axes.set_xlabel("\n".join(said), loc="right")  # centred below a narrow axis, it would leave the figure
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
    return figure


def section(sweep: Results) -> list[Section]:
    """Return the forest plot and its table as a section of the page; nothing without a baseline that has a result."""
    effects = effects_of(sweep)
    if not effects:
        return []
    rows = tuple(
        (
            effect.label,
            in_points(effect.difference),
            "" if effect.test is None else f"{100 * effect.test:+z.1f}",
            percent(effect.cell) if effect.cell else "",
            str(effect.cell.n if effect.cell else effect.difference.n),
            effect.finding,
        )
        for effect in effects
    )
    headings = ("cell", f"points of {judge(sweep.grid)}", "test points", "test", "n", in_short(sweep.grid.measure))
    title = f"{'Against' if effects[0].cell else 'Screening of'} {sweep.experiment.baseline}"
    return [Section(title, tuple(findings(sweep)), headings, rows, as_svg(draw(sweep, effects)))]
