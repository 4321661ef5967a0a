"""The grid as its readers see it: cells with their seeds, row averages, references. Built from a table of trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ablate.results import TrialResult

if TYPE_CHECKING:
    import pandas as pd

    from ablate.config import Trial

METRICS = ("linear_top1", "linear_val_top1", "knn_top1", "linear_balanced_accuracy")
Status = Literal["done", "partial", "failed", "missing"]


@dataclass(frozen=True)
class Cell:
    """One composition (or reference): by metric, the value of every seed that has one, as a fraction."""

    label: str
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    planned: int = 0
    failed: int = 0
    flags: tuple[str, ...] = ()

    def seeds(self, metric: str = "linear_top1") -> dict[int, float]:
        """Seed -> value."""
        return self.values.get(metric, {})

    @property
    def n(self) -> int:
        """Seeds with a result."""
        return len(self.seeds())

    @property
    def status(self) -> Status:
        """Done: every planned seed has a result; partial: some; failed: none, and one failed; missing: none yet."""
        if self.n:
            return "done" if self.n == self.planned else "partial"
        return "failed" if self.failed else "missing"

    def mean(self, metric: str = "linear_top1") -> float | None:
        """The mean over seeds, or None without any."""
        values = self.seeds(metric).values()
        return statistics.fmean(values) if values else None

    def std(self, metric: str = "linear_top1") -> float | None:
        """The sample standard deviation over seeds (n - 1), or None below two."""
        values = list(self.seeds(metric).values())
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Grid:
    """``cells[row, column]`` for every ordered pair of ``ops``; the diagonal is the op alone."""

    ops: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    references: dict[str, Cell]

    def average(self, row: str, metric: str = "linear_top1") -> float | None:
        """The mean over all k cells of a row, the diagonal included, as in Figure 5; None while a result is missing."""
        means = [self.cells[row, column].mean(metric) for column in self.ops]
        known = [mean for mean in means if mean is not None]
        return statistics.fmean(known) if len(known) == len(means) else None

    @property
    def singles(self) -> list[Cell]:
        """The diagonal's cells that have a result."""
        return [self.cells[op, op] for op in self.ops if self.cells[op, op].n]

    @property
    def with_results(self) -> list[Cell]:
        """All cells that have a result."""
        return [cell for cell in self.cells.values() if cell.n]


def sweep_rows(trials: Sequence[Trial], records: dict[str, TrialResult]) -> list[dict[str, Any]]:
    """One row per planned trial, under the labels of this sweep's plan; status ``missing`` where there is no record."""
    return [_row(trial, records.get(trial.id)) for trial in trials]


def _row(trial: Trial, record: TrialResult | None) -> dict[str, Any]:
    return {
        "key": trial.config.key,
        "seed": trial.seed,
        "label": trial.label,
        "row": trial.row,
        "column": trial.column,
        "reference": trial.reference,
        "status": record.status if record else "missing",
        "flags": ",".join(record.flags) if record else "",
        **(record.metrics if record else {}),
    }


def grid_of(table: pd.DataFrame | list[dict[str, Any]]) -> Grid:
    """The grid of a table as :func:`ablate.load_results` or :func:`sweep_rows` give it.

    Ops stand in the order in which they first occur as a row or column.
    """
    rows = (
        table if isinstance(table, list) else [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    )
    in_grid = [row for row in rows if _text(row["row"])]
    ops = tuple(dict.fromkeys(name for row in in_grid for name in (row["row"], row["column"])))
    by_cell: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in in_grid:
        by_cell.setdefault((row["row"], row["column"]), []).append(row)
    labels = {(a, b): a if a == b else f"{a}+{b}" for a in ops for b in ops}
    cells = {place: _cell(label, by_cell.get(place, [])) for place, label in labels.items()}
    names = dict.fromkeys(row["reference"] for row in rows if _text(row["reference"]))
    references = {name: _cell(name, [row for row in rows if row["reference"] == name]) for name in names}
    return Grid(ops, cells, references)


def _cell(label: str, rows: list[dict[str, Any]]) -> Cell:
    done = [row for row in rows if row["status"] == "done"]
    values = {
        metric: {int(row["seed"]): float(row[metric]) for row in done if _number(row.get(metric))} for metric in METRICS
    }
    flags = sorted({flag for row in done for flag in str(row.get("flags") or "").split(",") if flag})
    failed = sum(row["status"] == "failed" for row in rows)
    return Cell(label, values, planned=len(rows), failed=failed, flags=tuple(flags))


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _number(value: object) -> bool:
    return isinstance(value, float | int) and not math.isnan(value)
