"""A sweep as its reports read it: the plan, the records, the grid that they make."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from ablate.config import Experiment, Trial
from ablate.console import counted
from ablate.report.grid import Grid, grid_of, sweep_rows
from ablate.results import TrialResult, read_records
from ablate.sweep.plan import load_experiment, plan

POINTS = 40  # of a training curve: as many as a small plot can show


@dataclass(frozen=True)
class Sweep:
    """What a directory holds; ``records`` by trial id, with thinned histories; ``damaged`` are unreadable files."""

    directory: Path
    experiment: Experiment
    trials: list[Trial]
    records: dict[str, TrialResult]
    damaged: list[Path]
    grid: Grid

    @property
    def failed(self) -> list[TrialResult]:
        """The records of failed trials, in plan order."""
        known = (self.records.get(trial.id) for trial in self.trials)
        return [record for record in known if record and record.status == "failed"]

    def seconds(self, label: str) -> float:
        """What a trial of a cell or reference took, in seconds of :attr:`unit`: the median over seeds; 0 if unknown."""
        name = "cpu" if self.experiment.shared.device == "cpu" else "total"
        records = (self.records.get(trial.id) for trial in self.trials if trial.label == label)
        known = [record.timings[name] for record in records if record and name in record.timings]
        return statistics.median(known) if known else 0.0

    @property
    def unit(self) -> str:
        """What its time is counted in: ``CPU time``, of all cores, or ``GPU time``."""
        return "CPU time" if self.experiment.shared.device == "cpu" else "GPU time"

    def __str__(self) -> str:
        """``glyphs, one-branch simclr, resnet8, 15 epochs, 3 seeds``."""
        shared, seeds = self.experiment.shared, len(self.experiment.seeds)
        parts = [shared.data.name, f"{shared.branches}-branch {shared.objective}", shared.encoder.name]
        return ", ".join([*parts, counted(shared.epochs, "epoch"), counted(seeds, "seed")])


def read_sweep(directory: str | Path) -> Sweep:
    """Read a sweep's directory.

    Raises:
        UsageError: it is not a sweep's.
    """
    directory = Path(directory)
    experiment = load_experiment(directory)
    trials = plan(experiment)
    records, damaged = read_records(directory, trials, points=POINTS)
    return Sweep(directory, experiment, trials, records, damaged, grid_of(sweep_rows(trials, records)))
