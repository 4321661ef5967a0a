"""Sections of the web page below its cells, each with a title, sentences and a table: predictions, effects of ops."""

from __future__ import annotations

from ablate.console import counted
from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.section import Section
from ablate.report.stats.effects import Interaction, interactions, main_effects
from ablate.report.stats.predicted import chance_in_words, in_percent, outlook, predicted_cells
from ablate.report.stats.words import in_points, judge
from ablate.sweep.rounds import counted_points

MOST = 20  # interactions, and predictions, that are listed at most
WIDEST = 2.0  # the largest possible difference of differences of accuracies


def predictions(sweep: Results) -> list[Section]:
    """Return the section of the cells that a budget did not run, the likeliest to be better first; else none."""
    grid = sweep.grid
    ahead, shown = outlook(sweep), predicted_cells(sweep, grid.metric)
    if ahead is None or sweep.experiment.budgeted is None:
        return []
    cells = sorted(ahead.cells.values(), key=lambda cell: (-cell.better, -cell.mean))
    rows = tuple(
        (cell.label, chance_in_words(cell.better), in_percent(cell), in_percent(shown[cell.label]))
        for cell in cells[:MOST]
        if cell.label in shown
    )
    texts = (
        f"{counted(len(cells), 'composition')} {'was' if len(cells) == 1 else 'were'} not run. The numbers are "
        "predictions of a Gaussian process over compositions, with their 90 % intervals; none of them is a result.",
        f"“better”: the probability that a composition is better than {ahead.best}, the best of the trained ones by "
        f"the model, by more than {counted_points(sweep.experiment.budgeted.within)} of {judge(grid)}.",
        *([f"The {MOST} likeliest of {len(cells)}; predicted.csv has all."] if len(cells) > MOST else []),
    )
    return [Section("Predicted, not run", texts, ("composition", "better", "validation %", "test %"), rows)]


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
