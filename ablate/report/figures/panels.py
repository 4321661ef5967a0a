"""The layout of figures with a small panel for each of several grids, as wide as a README."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.report.figures.labels import UPRIGHT
from ablate.report.figures.panel import NARROW, SMALLEST, Sizes

WIDTH = 8.3  # inches: 830 px at 100 dpi, the width of a README
COLUMNS = int(WIDTH * 15)  # characters of a line of text below the panels
ACROSS = 3  # panels in a row
LEGIBLE = 0.3  # inches of a cell below which fewer panels stand in a row


@dataclass(frozen=True)
class Layout:
    """The places of ``count`` panels of cells, ``across`` in a row, and the ``sizes`` of their cells and texts.

    ``names`` are the labels of the rows and columns of every panel.
    """

    count: int
    across: int
    sizes: Sizes
    names: Sequence[str]

    @classmethod
    def fitting(cls, count: int, names: Sequence[str], *, signed: bool = False) -> Layout:
        """Return the layout with as many panels in a row, three at most, as leave their cells legible.

        Args:
            count: the number of panels.
            names: the labels of the rows and columns.
            signed: True if the numbers in the cells have a sign, which takes a character more.
        """
        label = 0.065 * max(map(len, names)) + 0.35  # inches that the row labels take
        cells = {n: (WIDTH / n - label - 0.15) / len(names) for n in range(1, min(ACROSS, count) + 1)}
        across = max((n for n, cell in cells.items() if cell >= LEGIBLE), default=1)
        across = math.ceil(count / math.ceil(count / across))  # four in two rows of two
        return cls(count, across, _sizes(min(0.55, cells[across]), signed), names)

    def figure(self, lines: Sequence[str]) -> tuple[Figure, list[Axes]]:
        """Return an empty figure with its panels and, below them, ``lines`` of text."""
        longest, down = max(map(len, self.names)), math.ceil(self.count / self.across)
        upright = 0.062 * longest if longest > UPRIGHT or self.sizes.cell[0] < NARROW else 0.0
        height = down * (len(self.names) * self.sizes.cell[1] + 1.0 + upright) + 0.5 + 0.14 * len(lines)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = list(figure.subplots(down, self.across, squeeze=False).flat)
        for axes in panels[self.count :]:
            axes.set_axis_off()
        if self.count == 1:
            panels[0].set_box_aspect(self.sizes.cell[1] / self.sizes.cell[0])  # not as wide as the figure
        figure.supxlabel("\n".join(lines), fontsize=7, parse_math=False)
        return figure, panels


def own_names(ops: Sequence[str]) -> list[str]:
    """Return the ops' own names where these tell them apart, since panels are small."""
    own = [op.partition("(")[0].removeprefix("kornia.") for op in ops]
    return [name if own.count(name) == 1 else f"{name} [{n}]" for n, name in enumerate(own, start=1)]


def _sizes(cell: float, signed: bool) -> Sizes:
    """Return the sizes of a panel whose cells are ``cell`` inches wide: means without deviations."""
    points = 72 * cell - 2
    sign = 0.7 if signed else 0.0
    decimals = 1 if points >= 7 * (2.4 + sign) else 0
    mean = min(8.0, points / ((2.4 if decimals else 1.3) + sign))
    return Sizes((cell, cell * 0.75), mean if mean >= SMALLEST else 0.0, 0.0, 7.5, decimals)
