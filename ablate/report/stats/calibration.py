"""The calibration of a sweep: how alike cheaper trainings rank its cells, and the regret of choosing by them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ablate.console import counted
from ablate.errors import UsageError
from ablate.inference.adjusted import adjusted, largest
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats import ranks, regret
from ablate.sweep.calibrations import calibrated
from ablate.sweep.fidelity import in_words, lowered, settings_of

Interval = tuple[float, float]
Values = Mapping[str, Mapping[int, float]]
"""The validation accuracy of every seed, by cell."""


@dataclass(frozen=True)
class Row:
    """One training, cheaper or full.

    ``price`` is the time of its trials as a share of the full training's; None if it is unknown. ``spearman`` is the
    rank correlation with the full means, its interval by resampling ops; None for the full training itself, and without
    a ranking. ``regret`` is a fraction, of the choice by the means over all seeds, its interval by resampling ops and
    seeds. Intervals are None if there are too few.
    """

    name: str
    settings: Mapping[str, int]
    price: float | None
    regret: float
    regret_interval: Interval | None
    spearman: float | None = None
    spearman_interval: Interval | None = None

    @property
    def worst(self) -> float:
        """The upper end of the regret's interval; infinite without one."""
        return math.inf if self.regret_interval is None else self.regret_interval[1]

    @property
    def training(self) -> str:
        """The settings that it lowers, or all of the full training, as in ``6 epochs, 24 px``."""
        return in_words(self.settings)


@dataclass(frozen=True)
class Calibration:
    """The calibration of ``sweep`` over ``cells`` and ``seeds``, which all of its trainings share.

    ``cheaper`` are the trainings without missing trials, the dearest first; ``gaps`` says in words what the others
    miss, and how many trials failed. ``by_chance`` is the mean regret of choosing a cell at random. ``elsewhere`` is
    True if not all trials ran on one kind of processor. ``fingerprints`` are those of all images.
    """

    sweep: Results
    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    full: Row
    cheaper: tuple[Row, ...]
    gaps: tuple[str, ...]
    by_chance: float
    elsewhere: bool
    fingerprints: tuple[str, ...]


def calibration_of(sweep: Results) -> Calibration | None:
    """Compute the calibration of ``sweep`` from the records below its directory; return None if there is none."""
    cheap, gaps = _read(sweep)
    labels = {trial.label for each in cheap for trial in each.trials}
    seeds = [seed for seed in sweep.experiment.seeds if any(seed in each.experiment.seeds for each in cheap)]
    full = _Full(sweep, labels, seeds)
    if not full.cells:
        return None
    rows = []
    for each in cheap:
        training = in_words(lowered(each.experiment, sweep.experiment))
        if missing := _missing(each, full):
            gaps.append(f"{training}: {missing}")
            continue
        rows.append(_row(each, full))
        if each.failed:
            gaps.append(f"{training}: {counted(len(each.failed), 'trial')} failed")
    return Calibration(
        sweep,
        tuple(cell.label for cell in full.cells),
        tuple(seeds),
        full.row,
        tuple(sorted(rows, key=lambda row: -(row.price or 0.0))),
        tuple(gaps),
        max(full.means) - statistics.fmean(full.means),
        len({processor for each in (sweep, *cheap) for processor in _processors(each)}) > 1,
        tuple(dict.fromkeys(each.experiment.shared.data.fingerprint for each in (sweep, *cheap))),
    )


def _read(sweep: Results) -> tuple[list[Results], list[str]]:
    """Read the cheaper sweeps; those that cannot be read become gaps, so that the sweep itself is still reported."""
    read, gaps = [], []
    for path in calibrated(sweep.directory):
        try:
            read.append(read_sweep(path, sweep.grid.measure, sweep.task_name))
        except UsageError as error:
            gaps.append(f"{path.name}: {error}")
    return read, gaps


class _Full:
    """The full results of the cells of a calibration: ``cells``, the ``means`` and the ``values`` of ``seeds``."""

    def __init__(self, sweep: Results, labels: set[str], seeds: Sequence[int]) -> None:
        self.sweep, self.seeds, self.metric = sweep, seeds, sweep.grid.validation_metric
        self.values = {cell.label: self.of(cell) for cell in sweep.grid.with_results if cell.label in labels}
        means = adjusted({label: self.values[label] for label in largest(self.values)})
        self.cells = [cell for cell in sweep.grid.with_results if cell.label in means]
        self.means = [means[cell.label] for cell in self.cells]
        self.ops = [ranks.ops_of(cell) for cell in self.cells]

    def of(self, cell: Cell) -> dict[int, float]:
        """Return the validation accuracy of a cell, full or cheaper, for every seed of the calibration."""
        return {seed: value for seed, value in cell.seeds(self.metric).items() if seed in self.seeds}

    @property
    def row(self) -> Row:
        """The row of the full training: its choice has no regret but for its own noise."""
        plan = self.sweep.experiment
        counts = plan.class_counts if plan.eval_data is None and plan.labels is None else None  # else some are missing
        images = sum(counts.train) if counts else None
        means = dict(zip((cell.label for cell in self.cells), self.means, strict=True))
        return Row("full", settings_of(plan, images), 1.0, 0.0, self.interval(self.values, means))

    def interval(self, values: Values, means: Mapping[str, float]) -> Interval | None:
        """Return the interval of the regret of choosing by ``values``, whose adjusted means are ``means``."""
        known = [seed for seed in self.seeds if any(seed in values[label] for label in means)]
        mean = np.array([means.get(cell.label, math.nan) for cell in self.cells])
        table = np.array([[values[cell.label].get(seed, math.nan) for seed in known] for cell in self.cells])
        apart = table - mean[:, None]
        effects = np.nanmean(apart, axis=0)  # of the seeds, which shift all cells alike
        return regret.interval(self.means, (mean[:, None] + apart - effects).tolist(), self.ops)


def _missing(cheap: Results, full: _Full) -> str:
    """Return what a cheaper sweep lacks of the calibration's cells and seeds, in words; nothing if it is complete."""
    there = {(trial.label, trial.seed) for trial in cheap.trials if trial.id in cheap.records}
    missing = sum((cell.label, seed) not in there for cell in full.cells for seed in full.seeds)
    if missing:
        of = counted(len(full.cells) * len(full.seeds), "trial")
        return f"{missing} of {of} {'are' if missing > 1 else 'is'} missing"
    return "" if cheap.grid.with_results else "no trial has a result"


def _row(cheap: Results, full: _Full) -> Row:
    """Return the row of a cheaper sweep that is complete."""
    by_label = {cell.label: cell for cell in cheap.grid.compositions}
    values = {cell.label: full.of(by_label[cell.label]) for cell in full.cells}
    means = adjusted({label: values[label] for label in largest(values)})
    known = [means.get(cell.label, math.nan) for cell in full.cells]
    both = [number for number, value in enumerate(known) if not math.isnan(value)]
    pair = [known[i] for i in both], [full.means[i] for i in both]
    low, high = ranks.interval(*pair, [full.ops[i] for i in both])
    rho = ranks.spearman(*pair) if len(both) >= ranks.FEWEST else math.nan
    return Row(
        cheap.directory.name,
        lowered(cheap.experiment, full.sweep.experiment),
        _price(cheap, full),
        regret.regret(full.means, known),
        full.interval(values, means),
        None if math.isnan(rho) else rho,
        None if math.isnan(low) else (low, high),
    )


def _price(cheap: Results, full: _Full) -> float | None:
    """Return the time of the trials as a share of that of the same cells and seeds at full price; None if unknown."""
    dear, low = seconds(full.sweep), seconds(cheap)
    both = dear.keys() & low.keys()
    return sum(low[key] for key in both) / sum(dear[key] for key in both) if both else None


def seconds(sweep: Results) -> dict[tuple[str, int], float]:
    """Return the seconds of every finished trial of a cell, by its label and seed: CPU time if it ran on a CPU."""
    name = "cpu" if sweep.experiment.shared.device == "cpu" else "total"
    known = {}
    for trial in sweep.trials:
        record = sweep.records.get(trial.id)
        if trial.reference is None and record and record.status == "done" and record.timings.get(name):
            known[trial.label, trial.seed] = record.timings[name]
    return known


def _processors(sweep: Results) -> set[str]:
    name = "processor" if sweep.experiment.shared.device == "cpu" else "device"
    return {record.host[name] for record in sweep.records.values() if name in record.host}
