"""The grid for readers: cells with their seeds, row averages and references, built from a table of trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ablate.config.measure import SUFFIXES, Measure, measure_of, measured_by, on_validation
from ablate.config.protocols import WITH_SHARES
from ablate.config.sweep import Trial, called
from ablate.inference.dunnett import TAIL
from ablate.inference.over_images import OverImages
from ablate.sweep.record import ROTATION_NOT_APPLICABLE, TrialResult

if TYPE_CHECKING:
    import pandas as pd

    from ablate.config.sweep import ClassCounts

LINEAR, ROTATION = "linear_top1", "rotation_top1"
METRICS = (LINEAR, "linear_val_top1", "knn_top1", "linear_balanced_accuracy")
FURTHER = (
    *("sgd_top1", "online_top1", "classifier_top1", "z_linear_top1"),
    *("linear_val_balanced_accuracy", "knn_balanced_accuracy", "sgd_balanced_accuracy", "online_balanced_accuracy"),
    *("classifier_balanced_accuracy", "z_linear_balanced_accuracy"),
    *("linear_macro_f1", "linear_auroc", "linear_average_precision"),
    *("linear_val_macro_f1", "linear_val_auroc", "linear_val_average_precision"),
    *("z_linear_macro_f1", "z_linear_auroc", "z_linear_average_precision", "linear_r2", "linear_val_r2"),
    *(f"{name}{suffix}" for suffix in SUFFIXES.values() for name in WITH_SHARES),
    *(
        ROTATION,
        "rotation_val_top1",
        "rankme",
        "lidar",
        "common_alignment",
        "common_uniformity",
        "alignment",
        "uniformity",
    ),
)
MAJORITY = "majority class"
"""The reference that always predicts the largest class of the training images."""
Status = Literal["done", "partial", "failed", "missing", "not judged", "left out", "pruned"]


@dataclass(frozen=True)
class Cell:
    """One composition or reference, with the values of every seed by metric, as fractions.

    ``metric`` is the main metric of the grid: linear evaluation (top-1 or balanced accuracy) or, without labels,
    rotation prediction. ``ops`` are the names of the composition's ops, if they are known; in a grid those of its row
    and its column. A reference that was never ``trained`` has its values under seed 0.
    """

    label: str
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    planned: int = 0
    failed: int = 0
    pruned: int = 0
    flags: tuple[str, ...] = ()
    metric: str = LINEAR
    ops: tuple[str, ...] = ()
    trained: bool = True

    def seeds(self, metric: str | None = None) -> dict[int, float]:
        """Map each seed to its value of ``metric``, by default the grid's own."""
        return self.values.get(metric or self.metric, {})

    @property
    def n(self) -> int:
        """The number of seeds with a result."""
        return len(self.seeds())

    @property
    def status(self) -> Status:
        """The state of the cell's seeds.

        Done: every planned seed has a result. Partial: some have one. Failed: none has one, and one failed. Missing:
        none has one yet. Not judged: the composition turns images, which rotation prediction cannot judge. Left out:
        not planned. Pruned: the composition fell behind and was not trained to the end.
        """
        if self.n:
            return "done" if self.n == self.planned else "partial"
        if self.metric == ROTATION and ROTATION_NOT_APPLICABLE in self.flags:
            return "not judged"
        if not self.planned:
            return "left out"
        if self.pruned:
            return "pruned"
        return "failed" if self.failed else "missing"

    @property
    def validation(self) -> float | None:
        """The mean over seeds of the metric on the validation split, by which winners are chosen."""
        return self.mean(on_validation(self.metric))

    def mean(self, metric: str | None = None) -> float | None:
        """Return the mean over seeds, or None without any."""
        values = self.seeds(metric).values()
        return statistics.fmean(values) if values else None

    def std(self, metric: str | None = None) -> float | None:
        """Return the sample standard deviation over seeds (n - 1), or None with fewer than two."""
        values = list(self.seeds(metric).values())
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, repr=False)
class Grid:
    """``cells[row, column]`` for every ordered pair of ``ops``, left out or not; the diagonal is the op alone.

    ``further`` are compositions that have no place in the grid, by their labels. ``acts`` maps an op to the share of
    images on which it acts; it lacks the ops whose share is unknown.

    ``given`` is True if the encoders start from given weights: ``untrained`` is then the encoder as it was given.

    ``tail`` is the probability with which the comparisons with the best may err, and ``left`` are the labels of the
    cells that may be the best; None: all. Both differ in rounds of seeds. ``images`` is the covariance of validation
    accuracy over images, where intervals hold other images too.
    """

    ops: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    references: dict[str, Cell]
    metric: str = LINEAR
    further: dict[str, Cell] = field(default_factory=dict)
    acts: dict[str, float] = field(default_factory=dict)
    tail: float = TAIL
    left: frozenset[str] | None = None
    given: bool = False
    images: OverImages | None = None

    @property
    def start(self) -> str:
        """The reference ``untrained`` in a sentence."""
        return "the encoder as given" if self.given else "the untrained encoder"

    def called(self, reference: str) -> str:
        """Return the name under which a reference is shown."""
        return called(reference, reference, is_given=self.given)

    def acts_on(self, op: str) -> str:
        """Return the share of images on which the op acts, as in ``84 %``; nothing if it is all of them or unknown."""
        share = self.acts.get(op, 1.0)
        return f"{100 * share:.0f} %" if share < 1 else ""

    @property
    def seldom(self) -> list[str]:
        """A sentence on the ops that act on fewer than all images, which keeps readers from overrating row averages."""
        shares = [f"{op} {share}" for op in self.ops if (share := self.acts_on(op))]
        return [f"Share of images on which an op acts, if not on all: {', '.join(shares)}."] if shares else []

    def __repr__(self) -> str:
        return (
            f"<Grid of {', '.join(self.ops) or 'no ops'}: {len(self.with_results)} of {len(self.compositions)} cells>"
        )

    @property
    def compositions(self) -> list[Cell]:
        """The planned cells of the grid, row by row, and the further compositions."""
        return [cell for cell in (*self.cells.values(), *self.further.values()) if cell.status != "left out"]

    @property
    def measure(self) -> Measure:
        """The measure by which cells are chosen and shown, such as top-1 or balanced accuracy."""
        return measure_of(self.metric)

    @property
    def is_linear(self) -> bool:
        """True if the grid shows linear evaluation, not rotation prediction."""
        return self.metric != ROTATION

    @property
    def knn(self) -> str:
        """The metric of kNN on the test set, for the grid's measure."""
        return measured_by("knn_top1", self.measure)

    @property
    def validation_metric(self) -> str:
        """The grid's metric on the validation split, by which winners are chosen."""
        return on_validation(self.metric)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that its tables show: linear evaluation and kNN (if there are classes), and other known ones."""
        known = {metric for cell in (*self.compositions, *self.references.values()) for metric in cell.values}
        of_classes = not known or bool(known & set(METRICS))
        usual = METRICS if self.is_linear and of_classes else ()
        return (*usual, *(metric for metric in FURTHER if metric in known))

    def average(self, row: str, metric: str | None = None) -> float | None:
        """Return the mean over all k cells of a row, or None if a result is missing.

        The diagonal is included, as in Figure 5.
        """
        means = [self.cells[row, column].mean(metric) for column in self.ops]
        known = [mean for mean in means if mean is not None]
        return statistics.fmean(known) if len(known) == len(means) else None

    @property
    def singles(self) -> list[Cell]:
        """The diagonal's cells that have a result."""
        return [self.cells[op, op] for op in self.ops if self.cells[op, op].n]

    @property
    def with_results(self) -> list[Cell]:
        """All compositions that have a result."""
        return [cell for cell in self.compositions if cell.n]


def sweep_rows(trials: Sequence[Trial], records: dict[str, TrialResult]) -> list[dict[str, Any]]:
    """Return one row per planned trial, under the labels of this sweep's plan.

    The status is ``missing`` if there is no record.
    """
    return [_row(trial, records.get(trial.id)) for trial in trials]


def _row(trial: Trial, record: TrialResult | None) -> dict[str, Any]:
    return {
        "key": trial.config.key,
        "seed": trial.seed,
        "label": trial.label,
        "row": None if trial.point else trial.row,  # with further axes there are several grids
        "column": None if trial.point else trial.column,
        "ops": trial.config.op_names,
        "reference": trial.reference,
        "status": record.status if record else "missing",
        "flags": ",".join(record.flags) if record else "",
        **(record.metrics if record else {}),
    }


def grid_of(
    table: pd.DataFrame | list[dict[str, Any]],
    measure: Measure = "top1",
    counts: ClassCounts | None = None,
    acts: Mapping[str, float | None] | None = None,
) -> Grid:
    """Build the grid from a table of :func:`ablate.load_results` or :func:`sweep_rows`.

    Ops stand in the order in which they first occur as a row, then as a column.

    Args:
        table: a row per trial.
        measure: the measure by which cells are chosen and shown; top-1 if a trial lacks the values that the other
            needs.
        counts: the numbers of images per class; if they are known, the majority class is one of the references.
        acts: the share of images on which each op acts.
    """
    if isinstance(table, list):
        rows = table
    else:
        rows = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
        measure = table.attrs.get("measure", measure)
    in_grid = [row for row in rows if _text(row["row"])]
    ops = tuple(dict.fromkeys([*(row["row"] for row in in_grid), *(row["column"] for row in in_grid)]))
    by_cell: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in in_grid:
        by_cell.setdefault((row["row"], row["column"]), []).append(row)
    metric = _metric(rows, measure)
    named = next((row["label"] for row in in_grid if "|" in row.get("label", "")), "")
    first = f"{named.partition('|')[0]}|" if named else ""  # of a grid of the second view
    labels = {(a, b): first + (a if a == b else f"{a}+{b}") for a in ops for b in ops}
    cells = {position: _cell(label, by_cell.get(position, []), metric, position) for position, label in labels.items()}
    names = dict.fromkeys(row["reference"] for row in rows if _text(row["reference"]))
    references = {name: _cell(name, [row for row in rows if row["reference"] == name], metric) for name in names}
    beside = dict.fromkeys(row["label"] for row in rows if not _text(row["row"]) and not _text(row["reference"]))
    further = {name: _cell(name, [row for row in rows if row["label"] == name], metric) for name in beside}
    if counts and metric != ROTATION:
        known = {name for cell in (*cells.values(), *references.values(), *further.values()) for name in cell.values}
        references[MAJORITY] = _majority(counts, known, metric)
    return Grid(ops, cells, references, metric, further, {op: p for op, p in (acts or {}).items() if p is not None})


def lacking(rows: list[dict[str, Any]], measure: Measure) -> tuple[list[str], int]:
    """Return the trials with linear evaluation that lack the value needed to choose by ``measure``.

    Returns:
        Their ids, and the number of trials with linear evaluation.
    """
    known = [row for row in rows if _number(row.get(LINEAR))]
    needed = on_validation(measured_by(LINEAR, measure))
    return [f"{row['key']}-s{row['seed']}" for row in known if not _number(row.get(needed))], len(known)


def _majority(counts: ClassCounts, known: set[str], metric: str) -> Cell:
    """Return the reference that always predicts the largest class, with equal scores for all images.

    It has those of the ``known`` metrics that need labels.
    """
    largest = counts.train.index(max(counts.train))
    values: dict[str, dict[int, float]] = {}
    for name in known | {metric, on_validation(metric)}:
        images = counts.validation if "_val_" in name else counts.test
        if name.endswith(tuple(SUFFIXES.values())) and not name.startswith("rotation_") and any(images):
            values[name] = {0: _of_one_class(images, largest)[measure_of(name)]}
    return Cell(MAJORITY, values, planned=1, metric=metric, trained=False)


def _of_one_class(images: Sequence[int], largest: int) -> dict[Measure, float]:
    """Return every measure of predicting class ``largest`` for all ``images``, counted by class, with equal scores."""
    share, present = images[largest] / sum(images), sum(count > 0 for count in images)
    # A class against the rest: chance has an AUROC of a half and the class's share as average precision.
    chance: dict[Measure, float] = {"auroc": 0.5, "ap": 1 / present}
    return {"top1": share, "balanced": (share > 0) / present, "f1": 2 * share / (1 + share) / present, **chance}


def _metric(rows: list[dict[str, Any]], measure: Measure) -> str:
    """Return linear evaluation, unless no trial has it and rotation prediction was run."""
    wanted = measured_by(LINEAR, measure)
    if any(_number(row.get(LINEAR)) for row in rows):
        return LINEAR if lacking(rows, measure)[0] else wanted
    if any(_number(row.get(wanted)) for row in rows):  # of numbers or several labels, which have no accuracy
        return wanted
    rotation = any(_number(row.get(ROTATION)) or ROTATION_NOT_APPLICABLE in _flags(row) for row in rows)
    return ROTATION if rotation else wanted


def _flags(row: dict[str, Any]) -> list[str]:
    return [flag for flag in str(row.get("flags") or "").split(",") if flag]


def _cell(label: str, rows: list[dict[str, Any]], metric: str, ops: tuple[str, ...] = ()) -> Cell:
    done = [row for row in rows if row["status"] == "done"]
    there = set[str]().union(*done)  # most of the many metrics are in no row
    by_metric = {
        name: {int(row["seed"]): float(row[name]) for row in done if _number(row.get(name))}
        for name in (*METRICS, *FURTHER)
        if name in there
    }
    values = {name: seeds for name, seeds in by_metric.items() if seeds}
    flags = sorted({flag for row in done for flag in _flags(row)})
    failed = sum(row["status"] == "failed" for row in rows)
    pruned = sum(row["status"] == "pruned" for row in rows)
    return Cell(label, values, len(rows), failed, pruned, tuple(flags), metric, ops or _ops(rows))


def _ops(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of a composition's ops, if the table has them."""
    known = next((row["ops"] for row in rows if _text(row.get("ops"))), "")
    return tuple(known.replace("|", "+").split("+")) if known else ()


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _number(value: object) -> bool:
    return isinstance(value, float | int) and not math.isnan(value)


def composition(trial: Trial) -> str:
    """Return the label of a trial without its point on the axes."""
    point = ", ".join(f"{name}={value}" for name, value in trial.point.items())
    return trial.label.removesuffix(f", {point}") if point else trial.label
