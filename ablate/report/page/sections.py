"""Sections of the web page below its cells, each with a title, sentences, a table and a figure: the effects of ops."""

from __future__ import annotations

from ablate.report.data.grid import Grid
from ablate.report.section import Section
from ablate.report.stats.effects import Interaction, interactions, main_effects
from ablate.report.stats.model import Difference

MOST = 20  # interactions that are listed at most
WIDEST = 2.0  # the largest possible difference of differences of accuracies


def effects(grid: Grid) -> list[Section]:
    """Return the sections on main effects and pair interactions; none while a cell of the grid has no result."""
    effects_of_ops = main_effects(grid)
    if not effects_of_ops:
        return []
    joint = (
        ()
        if effects_of_ops[0].first.bounds(WIDEST) is None
        else ("The 95 % intervals are joint: they hold for all true values at once.",)
    )
    text = "Mean of an op's row (as the first op) and of its column (as the second), minus the mean of all cells."
    rows = tuple((effect.op, _points(effect.first), _points(effect.second)) for effect in effects_of_ops)
    main = Section("Main effects", (text, *joint), ("op", "first", "second"), rows)
    pairs = interactions(grid)
    text = "Effect of two ops together (mean of both orders) beyond the sum of their main effects; the strongest first."
    more = (f"The {MOST} strongest of {len(pairs)}.",) if len(pairs) > MOST else ()
    return [main, Section("Interactions", (text, *joint, *more), ("ops", "points"), tuple(map(_pair, pairs[:MOST])))]


def _pair(interaction: Interaction) -> tuple[str, str]:
    return f"{interaction.a}, {interaction.b}", _points(interaction.difference)


def _points(difference: Difference) -> str:
    """Return the difference in points, with the 95 % interval if there is one: ``+3.1 [+1.0, +5.2]``."""
    mean = f"{100 * difference.mean:+z.1f}"
    bounds = difference.bounds(WIDEST)
    if bounds is None:
        return mean
    return f"{mean} [{100 * bounds[0]:+z.1f}, {100 * bounds[1]:+z.1f}]"
