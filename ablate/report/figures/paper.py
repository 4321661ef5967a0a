"""The comparison of this grid's cells with Figure 5 of Chen et al. 2020 (arXiv 2002.05709): ImageNet, ResNet-50."""

from __future__ import annotations

import csv
from importlib.resources import files

from ablate.config.trial import TrialConfig
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.comparison import Comparison, compare

NAME = "Figure 5 of the SimCLR paper"
TITLE = "Chen et al. 2020, Figure 5: ImageNet, ResNet-50"


def published() -> dict[str, dict[str, float]]:
    """Read Figure 5 as published, in percent: ``published()[first][second]``; ``second`` may be ``average``."""
    with files("ablate.report.figures").joinpath("fig5.csv").open(encoding="utf-8") as file:
        return {row.pop("first"): {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)}


def is_its_setting(shared: TrialConfig) -> bool:
    """Return True for one-branch SimCLR."""
    return (shared.branches, shared.objective) == ("one", "simclr")


def beside_the_paper(grid: Grid) -> Comparison | None:
    """Rank this grid's cells against the paper's; return None without a common op or linear evaluation.

    An op is identified with the paper's by its name, whatever its parameters.
    """
    if not grid.is_linear:
        return None
    table = published()
    cells = {
        (a, b): Cell(f"{a}+{b}", {grid.metric: {0: table[a][b] / 100}}, planned=1, metric=grid.metric)
        for a in table
        for b in table
    }
    return compare(
        grid, Grid(tuple(table), cells, {}, grid.metric), NAME, {op: op.partition("(")[0] for op in grid.ops}
    )
