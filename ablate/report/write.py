"""``DIR/report``: the figures and tables of a sweep, at any time, from its records alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment
from ablate.console import counted, say, say_each
from ablate.errors import UsageError
from ablate.report.grid import Grid, grid_of, sweep_rows
from ablate.report.heatmap import heatmap, save
from ablate.report.paper import Comparison, compare, draw
from ablate.report.statistics import summary
from ablate.report.tables import write_csv, write_tex
from ablate.report.terminal import render
from ablate.results import TrialResult, read_records
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.status import failure_line


@dataclass(frozen=True)
class Report:
    """What was written, and what there is to say."""

    directory: Path
    grid: Grid
    comparison: Comparison | None
    failed: list[TrialResult]
    damaged: list[Path]

    def show(self, console: Console) -> None:
        """The heatmap in the terminal, the summary, what failed and how to rerun it, and where the files are."""
        render(self.grid, console)
        for line in summary(self.grid):
            say(console, line)
        if self.comparison:
            say(console, str(self.comparison))
        say_each(console, [failure_line(self.directory, result) for result in self.failed], "red")
        if self.failed:
            say(console, "the same command with --retry-failed runs failed trials again")
        say_each(console, [f"damaged record, left out: {path}" for path in self.damaged], "yellow")
        say(console, f"report: {self.directory / 'report'}")


def write_report(directory: str | Path, *, paper: bool = False) -> Report:
    """Write heatmap.png/svg/pdf, table.csv, table.tex and, for ``paper``, fig5-comparison.png.

    Raises:
        UsageError: ``directory`` is not a sweep's; for ``paper``, it is not Figure 5's setting or shares too few cells.
    """
    directory = Path(directory)
    experiment = load_experiment(directory)
    if paper and (experiment.shared.branches, experiment.shared.objective) != ("one", "simclr"):
        raise UsageError("Figure 5 is one-branch SimCLR; this sweep is not, so --paper has nothing to compare")
    trials = plan(experiment)
    records, damaged = read_records(directory, trials)
    grid = grid_of(sweep_rows(trials, records))
    out = directory / "report"
    save(heatmap(grid, title=describe(experiment)), [out / f"heatmap.{kind}" for kind in ("png", "svg", "pdf")])
    write_csv(grid, out / "table.csv")
    write_tex(grid, out / "table.tex")
    comparison = compare(grid) if paper else None
    if paper and not comparison:
        raise UsageError("--paper needs at least four cells with results in common with Figure 5")
    if comparison:
        save(draw(comparison, describe(experiment)), [out / "fig5-comparison.png"])
    failed = [records[trial.id] for trial in trials if trial.id in records and records[trial.id].status == "failed"]
    return Report(directory, grid, comparison, failed, damaged)


def describe(experiment: Experiment) -> str:
    """``glyphs, one-branch simclr, resnet8, 15 epochs, 3 seeds``."""
    shared, seeds = experiment.shared, len(experiment.seeds)
    parts = [shared.data.name, f"{shared.branches}-branch {shared.objective}", shared.encoder.name]
    return ", ".join([*parts, counted(shared.epochs, "epoch"), counted(seeds, "seed")])
