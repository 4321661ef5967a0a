"""The grid as ``table.csv`` (one row per cell) and ``table.tex`` (the matrix, booktabs)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ablate.report.grid import METRICS, Cell, Grid
from ablate.results import write_atomically


def write_csv(grid: Grid, path: Path) -> None:
    """One row per cell, row average and reference.

    Columns: ``kind`` (cell, average, reference), ``first``, ``second``, ``label``, ``status``, ``n``, mean and standard
    deviation of every metric (fractions), and ``seeds``: ``seed=linear_top1`` pairs.
    """
    rows = [_row("cell", first, second, cell) for (first, second), cell in grid.cells.items()]
    rows += [_average(grid, op) for op in grid.ops]
    rows += [_row("reference", "", "", cell) for cell in grid.references.values()]
    write_atomically(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def write_tex(grid: Grid, path: Path) -> None:
    """The matrix in percent, mean ± standard deviation, with the row averages; needs ``booktabs``."""
    content = {op: [_tex(grid.cells[row, op]) for row in grid.ops] for op in grid.ops}
    averages = [grid.average(row) for row in grid.ops]
    content["average"] = ["--" if value is None else f"{100 * value:.1f}" for value in averages]
    style = pd.DataFrame(content, index=list(grid.ops)).style.format_index(escape="latex")
    style = style.format_index(escape="latex", axis="columns")
    columns = "l" + "c" * len(grid.ops) + "|c"
    write_atomically(path, style.to_latex(hrules=True, column_format=columns))


def _row(kind: str, first: str, second: str, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "first": first, "second": second, "label": cell.label}
    row |= {"status": cell.status, "n": cell.n}
    for metric in METRICS:
        row |= {f"{metric}_mean": cell.mean(metric), f"{metric}_std": cell.std(metric)}
    row["seeds"] = " ".join(f"{seed}={value:.6g}" for seed, value in sorted(cell.seeds().items()))
    return row


def _average(grid: Grid, op: str) -> dict[str, Any]:
    means = {f"{metric}_mean": grid.average(op, metric) for metric in METRICS}
    return {"kind": "average", "first": op, "second": "", "label": f"average of {op}", **means}


def _tex(cell: Cell) -> str:
    mean, std = cell.mean(), cell.std()
    if mean is None:
        return cell.status
    return f"{100 * mean:.1f}" if std is None else rf"{100 * mean:.1f} $\pm$ {100 * std:.1f}"
