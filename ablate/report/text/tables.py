"""The grid as ``table.csv`` (one row per cell) and ``table.tex`` (the matrix, booktabs)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment

from ablate.files import write_atomically
from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.order import order, ordered
from ablate.report.stats.predicted import predicted_cells


def write_csv(grid: Grid, path: Path) -> None:
    """Write one row per cell, row average, further composition and reference.

    Columns: ``kind`` (cell, average, composition, reference), ``first``, ``second``, ``label``, ``status``, ``n``,
    ``flags``, ``contender`` (1: cannot be told from the best by validation accuracy), ``half_width`` (half the 95 %
    interval of the grid's metric, by the two-way model), ``acts`` (for a row average: the share of images on which its
    op acts), mean and standard deviation of every metric (fractions), and ``seeds``: ``seed=value`` pairs of the grid's
    metric. That is ``linear_top1``, ``linear_balanced_accuracy`` if balanced accuracy is used to choose, or
    ``rotation_top1`` without labels. The majority class was not trained and has no seeds.
    """
    metrics = grid.metrics
    planned = [(position, cell) for position, cell in grid.cells.items() if cell.status != "left out"]
    rows = [_row("cell", first, second, cell, metrics) for (first, second), cell in planned]
    rows += [_average(grid, op, metrics) for op in grid.ops]
    rows += [_row("composition", "", "", cell, metrics) for cell in grid.further.values()]
    _add_noise(rows, grid)
    rows += [_row("reference", "", "", cell, metrics) for cell in grid.references.values()]
    write_rows(rows, path)


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows as CSV, with the columns of the first one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    write_atomically(path, text.getvalue())


def write_predicted(sweep: Results, path: Path) -> None:
    """Write one row per cell that a budget did not run; remove the file if there is none to predict.

    Columns: ``label``, ``first`` and ``second`` op, ``better`` (the probability that it is better than the best trained
    one by more than ``within``), and for validation and test the mean and the ends of the 90 % interval, as fractions.
    Their names begin with ``predicted_``, so that no reader of ``table.csv`` takes them for results.
    """
    grid = sweep.grid
    ahead = {name: predicted_cells(sweep, name) for name in (grid.validation_metric, grid.metric)}
    if not ahead[grid.validation_metric]:
        path.unlink(missing_ok=True)
        return
    places = {cell.label: position for position, cell in grid.cells.items()}
    rows = []
    for label, chosen in ahead[grid.validation_metric].items():
        row: dict[str, Any] = {"label": label}
        row["first"], row["second"] = places.get(label, ("", ""))
        row["better"] = chosen.better
        for name, cells in ahead.items():
            if label in cells:
                row |= {f"predicted_{name}_{end}": getattr(cells[label], end) for end in ("mean", "low", "high")}
        rows.append(row)
    write_rows(rows, path)


TEX = r"""\begin{tabular}{l<% for op in grid.ops %>c<% endfor %>|c}
\toprule
<% for op in grid.ops %> & << op | tex >><% endfor %> & average \\
\midrule
<% for row in grid.ops %>
<< row | tex >><% for column in grid.ops %> & << cell(grid.cells[row, column]) >><% endfor %> & << average(row) >> \\
<% endfor %>
\bottomrule
<% for note in notes %>
\multicolumn{<< grid.ops | length + 2 >>}{l}{\footnotesize << note >>} \\
<% endfor %>
\end{tabular}
"""
PARTIAL, NO_AVERAGE = "$^{*}$", "--"
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"}  # TeX's old fonts have others there
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}


def write_tex(grid: Grid, path: Path) -> None:
    """Write the matrix in percent, mean ± standard deviation, with the row averages, n and notes on missing results.

    Needs ``booktabs``.
    """
    write_atomically(path, tex(grid))


def tex(grid: Grid) -> str:
    """Return the matrix of :func:`write_tex`."""

    def average(row: str) -> str:
        value = grid.average(row)
        return NO_AVERAGE if value is None else f"{100 * value:.1f}"

    environment = Environment(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the filter below escapes for TeX
    )
    environment.filters["tex"] = escaped
    return environment.from_string(TEX).render(grid=grid, cell=_tex, average=average, notes=_notes(grid))


def _notes(grid: Grid) -> list[str]:
    """Return the lines below the matrix, as LaTeX: n, and what its marks and its empty cells mean."""
    states = {cell.status for cell in grid.cells.values()}
    counts = sorted({cell.n for cell in grid.cells.values() if cell.status != "left out"})
    notes = [f"$n = {counts[0]}$" if len(counts) == 1 else f"$n = {counts[0]}$ to ${counts[-1]}$"]
    if "partial" in states:
        notes.append(f"{PARTIAL} some seeds have no result")
    if "left out" in states:
        notes.append("empty: not run")
    if any(grid.average(op) is None for op in grid.ops):
        notes.append(f"{NO_AVERAGE}: no average, since a cell of the row has no result")
    return [*notes, *map(escaped, grid.seldom)]


def escaped(text: str) -> str:
    """Return text as LaTeX sets it, with its special characters escaped."""
    return "".join(SPECIAL.get(character, character) for character in text)


def _row(kind: str, first: str, second: str, cell: Cell, metrics: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "first": first, "second": second, "label": cell.label}
    row |= {"status": cell.status, "n": cell.n, "flags": " ".join(cell.flags), "contender": "", "half_width": ""}
    row["acts"] = ""
    for metric in metrics:
        row |= {f"{metric}_mean": cell.mean(metric), f"{metric}_std": cell.std(metric)}
    if not cell.trained:
        return {**row, "n": "", "seeds": ""}
    row["seeds"] = " ".join(f"{seed}={value:.6g}" for seed, value in sorted(cell.seeds().items()))
    return row


def _add_noise(rows: list[dict[str, Any]], grid: Grid) -> None:
    """Mark the compositions that cannot be told from the best, and add the intervals of the means.

    Both are left out if the noise is unknown.
    """
    chosen, shown = order(grid).model, ordered(grid.with_results, grid.metric).model
    for row in rows:
        if row["kind"] == "average":
            continue
        if chosen and row["label"] in chosen.position:
            row["contender"] = int(row["label"] in chosen.contenders)
        if shown and row["label"] in shown.position:
            row["half_width"] = shown.half_width(row["label"])


def _average(grid: Grid, op: str, metrics: tuple[str, ...]) -> dict[str, Any]:
    means = {f"{metric}_mean": grid.average(op, metric) for metric in metrics}
    row = {"kind": "average", "first": op, "second": "", "label": f"average of {op}", "acts": grid.acts.get(op, "")}
    return row | means


def _tex(cell: Cell) -> str:
    mean, std = cell.mean(), cell.std()
    if mean is None:
        return "" if cell.status == "left out" else cell.status
    mark = PARTIAL if cell.status == "partial" else ""
    return (f"{100 * mean:.1f}" if std is None else rf"{100 * mean:.1f} $\pm$ {100 * std:.1f}") + mark
