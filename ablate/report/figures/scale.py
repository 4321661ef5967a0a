"""The colour scale of a grid, wide enough that noise alone does not look like a result, with the untrained encoder.

The scale runs from the lowest to the highest cell. It is widened by the same amount on both sides if that is less than
ten times half the 95 % interval of a cell's mean, about twenty standard errors. The means of 49 equal cells spread over
some 4.5 standard errors, so noise alone takes a quarter of the colours or less. With one seed the noise is unknown, and
the scale spans at least 20 points.

An accuracy lies between 0 and 1. R² has no lower end: below 0, a model is worse than the mean of the values. Its scale
reaches 100 points below the best cell at most, so that one very bad cell does not take all colours from the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ablate.config.measure import measure_of
from ablate.inference.adjusted import paired_mean
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.order import ordered

INTERVALS = 10  # half-widths of a mean's 95 % interval that a scale spans at least
UNKNOWN = 0.2  # the least span if the noise is unknown, as a fraction
LEAST = 0.01  # the least span in any case
BELOW = "▼"  # the mark of a cell that lies below the untrained encoder


@dataclass(frozen=True)
class Scale:
    """The ends of a colour scale, and the untrained encoder's accuracy, mean and ``by_seed``, all as fractions.

    ``why`` is a sentence on the reason for its width, and ``called`` is the name under which the encoder is shown.
    """

    low: float
    high: float
    untrained: float | None = None
    why: str = ""
    by_seed: Mapping[int, float] = field(default_factory=dict)
    called: str = "untrained"

    @property
    def beyond(self) -> str:
        """``below`` or ``above`` if the untrained encoder lies outside the scale, else the empty string."""
        if self.untrained is None or self.low <= self.untrained <= self.high:
            return ""
        return "below" if self.untrained < self.low else "above"

    def share(self, value: float) -> float:
        """Return the position of a value between the ends, 0 to 1."""
        return max(0.0, min(1.0, (value - self.low) / (self.high - self.low)))

    def is_below_untrained(self, cell: Cell, metric: str | None = None) -> bool:
        """Return True if a cell lies below the untrained encoder, over the seeds that both have."""
        difference = paired_mean(cell.seeds(metric), self.by_seed)
        return difference is not None and difference < 0


def scale(grid: Grid, metric: str | None = None) -> Scale:
    """Return the scale for colouring the cells' means of ``metric`` (default: the grid's own)."""
    means = [mean for cell in grid.compositions if (mean := cell.mean(metric)) is not None]
    low, high = min(means, default=0.0), max(means, default=1.0)
    lowest = min(0.0, high - 1.0) if measure_of(metric or grid.metric) == "r2" else 0.0
    low = max(low, lowest)
    least, why = least_span(grid, metric)
    wider = max(0.0, least - (high - low)) / 2
    low, high = low - wider, high + wider
    shift = max(0.0, lowest - low) - max(0.0, high - 1.0)
    reference = grid.references.get("untrained")
    untrained, by_seed = (reference.mean(metric), reference.seeds(metric)) if reference else (None, {})
    bounds = max(lowest, low + shift), min(1.0, high + shift)
    return Scale(*bounds, untrained, why if wider else "", by_seed, grid.called("untrained"))


def above_untrained(grid: Grid, metric: str | None = None) -> Scale:
    """Return a scale that begins at the untrained encoder, so that its colours mean the same for any data set.

    The darkest colour is then an encoder that learned nothing, and the lightest one the best cell. The scale is widened
    upwards if noise asks for it. It is that of :func:`scale` without an untrained encoder or a cell above it.
    """
    usual = scale(grid, metric)
    best = max((mean for cell in grid.compositions if (mean := cell.mean(metric)) is not None), default=0.0)
    if usual.untrained is None or best <= usual.untrained:
        return usual
    least, why = least_span(grid, metric)
    high = min(1.0, max(best, usual.untrained + least))
    return replace(usual, low=max(usual.untrained, high - 1.0), high=high, why=why if high > best else "")


def least_span(grid: Grid, metric: str | None = None) -> tuple[float, str]:
    """Return the least span of a scale, as a fraction, and a sentence with the reason."""
    model = ordered(grid.with_results, metric or grid.metric).model
    if model is None:
        return UNKNOWN, f"The colours span {100 * UNKNOWN:.0f} points, since the noise is unknown."
    half = statistics.median(model.half_width(label) for label in model.labels)
    span = max(LEAST, min(1.0, INTERVALS * half))
    return span, f"The colours span {100 * span:.1f} points, so that differences that are only noise look small."
