"""Training curves for the web page: the points of small vector figures, computed without a plotting library."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.config.measure import KNN, Measure, measured_by
from ablate.sweep.record import TrialResult

WIDTH, HEIGHT = 240, 72  # units of the figure's own coordinates
MOST = 5  # seeds that are drawn; more of them would hide one another
CURVES = {"loss": ("loss", 1.0, "{:.2f}"), KNN: ("kNN on validation", 100.0, "{:.1f} %")}


@dataclass(frozen=True)
class Curve:
    """One quantity by epoch, with a line per seed; its points are in the form of an SVG polyline.

    ``first`` and ``last`` are the means over seeds at both ends, as text.
    """

    title: str
    lines: list[str]
    first: str
    last: str
    epochs: int


def curves(records: Sequence[TrialResult], measure: Measure = "top1") -> list[Curve]:
    """Return the curves of loss and validation kNN (by ``measure``) of the first five trials.

    A quantity without values is left out, and so is a training of one epoch, which has no curve.
    """
    drawn = (_curve(records[:MOST], measured_by(name, measure), *texts) for name, texts in CURVES.items())
    return [curve for curve in drawn if curve]


def _curve(records: Sequence[TrialResult], name: str, title: str, scale: float, text: str) -> Curve | None:
    histories = [
        [(entry["epoch"], scale * value) for entry in record.history if (value := entry.get(name)) is not None]
        for record in records
    ]
    values = [value for history in histories for _, value in history]
    last = max((epoch or 0.0 for history in histories for epoch, _ in history), default=0.0)
    if not values or last <= 1:
        return None
    low, high = min(values), max(values)
    span = high - low or 1.0

    def at(epoch: float | None, value: float) -> str:
        across = ((epoch or 0.0) - 1) / max(1.0, last - 1)
        return f"{WIDTH * across:.1f},{HEIGHT * (1 - (value - low) / span):.1f}"

    lines = [" ".join(at(*point) for point in history) for history in histories if history]
    drawn = [history for history in histories if history]
    first, end = (statistics.fmean(history[at][1] for history in drawn) for at in (0, -1))
    return Curve(title, lines, text.format(first), text.format(end), round(last))
