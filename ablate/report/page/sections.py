"""Sections of the web page below its cells, each with a title, sentences, a table and a figure: the effects of ops."""

from __future__ import annotations

from ablate.report.data.grid import Grid
from ablate.report.section import Section
from ablate.report.stats.effects import Interaction, interactions, main_effects
from ablate.report.stats.words import in_points

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
    rows = tuple(
        (effect.op, in_points(effect.first, WIDEST), in_points(effect.second, WIDEST)) for effect in effects_of_ops
    )
    main = Section("Main effects", (text, *joint), ("op", "first", "second"), rows)
    pairs = interactions(grid)
    text = "Effect of two ops together (mean of both orders) beyond the sum of their main effects; the strongest first."
    more = (f"The {MOST} strongest of {len(pairs)}.",) if len(pairs) > MOST else ()
    return [main, Section("Interactions", (text, *joint, *more), ("ops", "points"), tuple(map(_pair, pairs[:MOST])))]


def _pair(interaction: Interaction) -> tuple[str, str]:
    return f"{interaction.a}, {interaction.b}", in_points(interaction.difference, WIDEST)
