"""Beside the paper: Figure 5 of Chen et al. 2020 (arXiv 2002.05709), ImageNet, ResNet-50, and this grid's cells."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ablate.report.grid import Grid

FEWEST = 4  # cells that a rank correlation is worth reporting for


@dataclass(frozen=True)
class Comparison:
    """``rho``: Spearman's rank correlation over ``cells`` common cells; ``table``: label, ours, paper, in percent."""

    rho: float
    table: pd.DataFrame

    @property
    def cells(self) -> int:
        """How many cells both have."""
        return len(self.table)

    def __str__(self) -> str:
        return f"Spearman rank correlation with Figure 5 of the SimCLR paper: {self.rho:+.2f} over {self.cells} cells."


def published() -> pd.DataFrame:
    """Figure 5 as published: percent, indexed by first op, one column per second op and ``average``."""
    with files("ablate.report").joinpath("fig5.csv").open() as file:
        return pd.read_csv(file, index_col="first")


def compare(grid: Grid) -> Comparison | None:
    """Rank this grid's cells against the paper's; None with fewer than four in common."""
    paper = published()
    names = {op: op.partition("(")[0] for op in grid.ops}
    rows = [
        {"label": cell.label, "ours": 100 * mean, "paper": paper[names[b]][names[a]]}
        for (a, b), cell in grid.cells.items()
        if names[a] in paper.index and names[b] in paper.index and (mean := cell.mean()) is not None
    ]
    table = pd.DataFrame(rows, columns=["label", "ours", "paper"])
    if len(table) < FEWEST:
        return None
    rho = table[["ours", "paper"]].corr(method="spearman").to_numpy()[0, 1]

    return Comparison(float(rho), table)


def draw(comparison: Comparison, name: str) -> Figure:
    """Every common cell: the paper's accuracy across, this grid's up."""
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(5.2, 4.6), layout="constrained")
        axes = figure.subplots()
        table = comparison.table
        axes.scatter(table["paper"], table["ours"], s=14, color="#31688e", zorder=2)
        for label, x, y in zip(table["label"], table["paper"], table["ours"], strict=True):
            axes.annotate(str(label), (x, y), xytext=(2, 2), textcoords="offset points", fontsize=5, color="0.25")
        axes.set_xlabel("Figure 5 of Chen et al. 2020: ImageNet, ResNet-50, top-1 (%)")
        axes.set_ylabel(f"{name}: linear evaluation top-1 (%)")
        axes.set_title(f"Spearman {comparison.rho:+.2f} over {comparison.cells} cells", fontsize=8)
        axes.margins(x=0.12, y=0.06)
        axes.grid(alpha=0.25, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
