"""The values that can colour a grid: accuracy, standard error, synergy, order effect, difference from another grid."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ablate.config.measure import heading, in_full
from ablate.report.data.grid import Grid
from ablate.report.figures.palette import SIGNED, UNSIGNED, as_hex, colour, ink_on
from ablate.report.figures.scale import LEAST, least_span, scale
from ablate.report.stats.comparison import Comparison
from ablate.report.stats.order import ordered

ACCURACY = "accuracy"  # the key of the first layer
STOPS = 11  # stops of a legend's gradient
Position = tuple[str, str]
Values = dict[Position, float | None]


@dataclass(frozen=True)
class Layer:
    """Values of a grid's cells as fractions, or None for a cell without a value; ``averages`` by row.

    ``signed`` layers are coloured around 0. ``small`` is the text below a cell's number. ``limits`` are the ends of the
    colour scale, as fractions.
    """

    key: str
    title: str
    about: str
    values: Values
    averages: dict[str, float | None]
    limits: tuple[float, float]
    signed: bool = False
    small: dict[Position, str] = field(default_factory=dict)

    def text(self, value: float | None) -> str:
        """Return the value in percent, with one decimal, and with its sign if the layer is signed."""
        if value is None:
            return ""
        return f"{100 * value:+z.1f}" if self.signed else f"{100 * value:.1f}"

    def colours(self, value: float | None) -> tuple[str, str]:
        """Return background and ink as CSS colours, or empty texts without a value."""
        if value is None:
            return "", ""
        low, high = self.limits
        background = colour((value - low) / (high - low), self._name)
        return as_hex(background), ink_on(background)

    @property
    def gradient(self) -> str:
        """The colour scale as stops of a CSS gradient, from its low end."""
        return ", ".join(as_hex(colour(i / (STOPS - 1), self._name)) for i in range(STOPS))

    @property
    def _name(self) -> str:
        return SIGNED if self.signed else UNSIGNED


def layers(grid: Grid, comparisons: Sequence[Comparison] = ()) -> list[Layer]:
    """Return all layers that ``grid`` can show.

    A layer without any value is left out, except accuracy.
    """
    shown = [accuracy(grid), standard_error(grid), synergy(grid), order_effect(grid)]
    shown += [difference(grid, comparison, number) for number, comparison in enumerate(comparisons, start=1)]
    return [layer for layer in shown if layer.key == ACCURACY or any(v is not None for v in layer.values.values())]


def accuracy(grid: Grid) -> Layer:
    """Return the layer of the cells' means over seeds."""
    means = {position: cell.mean() for position, cell in grid.cells.items()}
    spread = {
        position: f"± {100 * std:.1f}" for position, cell in grid.cells.items() if (std := cell.std()) is not None
    }
    averages = {op: grid.average(op) for op in grid.ops}
    mean = "Mean over seeds on the test set, in percent, ± standard deviation." if spread else "Test set, in percent."
    colours = scale(grid)
    about = f"{mean} {colours.why}".strip()
    return Layer(ACCURACY, heading(grid.measure), about, means, averages, (colours.low, colours.high), small=spread)


def of_task(name: str, grid: Grid, number: int, other: str) -> Layer:
    """Return the layer of the cells' means for another task of the sweep, which has its own scale and marks.

    Args:
        name: the name of the task.
        grid: the grid as this task judges it.
        number: its number, from 1, among the layers of tasks.
        other: the name of the task that judges the rest of the page.
    """
    about = f"Task {name}: {in_full(grid.measure)}. All but this grid is by the task {other}. "
    layer = accuracy(grid)
    return replace(layer, key=f"task-{number}", title=f"Task {name}", about=f"{about}{layer.about}")


def standard_error(grid: Grid) -> Layer:
    """Return the layer of the standard errors of the cells' means, which has no values with a single seed."""

    def error(position: Position) -> float | None:
        cell = grid.cells[position]
        std = cell.std()
        return None if std is None else std / math.sqrt(cell.n)

    about = "Standard deviation over seeds, divided by the square root of their number, in points."
    return _layer(grid, "error", "Standard error", about, error)


def synergy(grid: Grid) -> Layer:
    """Return the layer of each composition minus the better of its two single ops."""
    known = _comparable(grid)

    def beyond(position: Position) -> float | None:
        first, second = position
        return None if first == second else _minus(known[position], _better(known[first, first], known[second, second]))

    about = f"{heading(grid.measure)} of a composition minus that of the better of its two single ops, in points."
    return _layer(grid, "synergy", "Synergy", about, beyond, signed=True)


def order_effect(grid: Grid) -> Layer:
    """Return the layer of each composition minus the same two ops in the other order."""
    known = _comparable(grid)

    def beyond(position: Position) -> float | None:
        first, second = position
        return None if first == second else _minus(known[position], known[second, first])

    about = f"{heading(grid.measure)} of the first op then the second, minus that of the other order, in points."
    return _layer(grid, "order", "Order effect", about, beyond, signed=True)


def difference(grid: Grid, comparison: Comparison, number: int) -> Layer:
    """Return the layer of this grid minus another one."""

    def beyond(position: Position) -> float | None:
        if position not in comparison.ours.cells:
            return None
        return _minus(comparison.ours.cells[position].mean(), comparison.other.cells[position].mean())

    about = f"This sweep minus {comparison.name}, in points. {comparison}"
    return _layer(grid, f"difference-{number}", f"Minus {comparison.name}", about, beyond, signed=True)


def _comparable(grid: Grid) -> Values:
    """Return means that are adjusted for the seeds a cell lacks, or None for a cell that cannot be compared."""
    ranking = ordered(list(grid.cells.values()), grid.metric)
    return {position: ranking.scores.get(cell.label) for position, cell in grid.cells.items()}


def _layer(
    grid: Grid, key: str, title: str, about: str, value: Callable[[Position], float | None], *, signed: bool = False
) -> Layer:
    values = {position: value(position) for position in grid.cells}

    def average(row: str) -> float | None:
        known = [value for column in grid.ops if (value := values[row, column]) is not None]
        return statistics.fmean(known) if known and grid.average(row) is not None else None

    return Layer(key, title, about, values, {op: average(op) for op in grid.ops}, _limits(grid, values, signed), signed)


def _limits(grid: Grid, values: Values, signed: bool) -> tuple[float, float]:
    """Return the ends of the colour scale: from 0, or symmetric about 0 for values with a sign.

    The scale spans at least as much as one of accuracies.
    """
    highest = max((abs(value) for value in values.values() if value is not None), default=0.0)
    if not signed:
        return 0.0, max(highest, LEAST)
    high = max(highest, least_span(grid)[0] / 2)
    return -high, high


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _better(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else max(a, b)
