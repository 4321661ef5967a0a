"""Budgets on whole grids: what the command would find on their records, and what one run found on CIFAR-10.

``python -m benchmarks.budgeted`` trains nothing and writes the run's table and verdicts into docs/budget.md.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console

from ablate.config.sweep import Budgeted, SweepPlan
from ablate.errors import ExitCode
from ablate.launch.batches import run_batches
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.order import order
from ablate.report.stats.predicted import chance_in_words, outlook
from ablate.sweep.batches import started
from ablate.sweep.budget import UNLIKELY
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.survey import survey
from benchmarks.claims import Verdict, short, wrong_first
from benchmarks.marked import fill

PAGE = "budget.md"
BEGIN = "<!-- the run: python -m benchmarks.budgeted -->\n"
REALLY_RUN, WHOLE = Path("results/real-cifar10-budget"), Path("results/real-cifar10")
BUDGET, BATCH, WITHIN = 16, 4, 0.01


def stages(source: Path, seeds: Sequence[int], budgets: Sequence[int]) -> Iterator[Results]:
    """Yield the sweep after every budget of trials, each continued with a larger one from the records of ``source``."""
    grid = load_plan(source)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)

        def copy(planned: SweepPlan) -> ExitCode:
            merged = merge_with_existing(out, planned)
            save_plan(out, merged)
            for trial in survey(out, plan(merged)).missing:
                SweepDir(out).trials.mkdir(exist_ok=True)
                shutil.copy(SweepDir(source).record(trial.id), SweepDir(out).record(trial.id))
            return ExitCode.DONE

        for budget in budgets:
            asked = grid.replace(seeds=list(seeds), budgeted=Budgeted(budget=str(budget), within=100 * WITHIN))
            run_batches(out, started(merge_with_existing(out, asked)), copy, Console(quiet=True))
            yield read_sweep(out)


def means(sweep: Results, seeds: Sequence[int]) -> dict[str, float]:
    """The mean of every trained cell over those seeds, by label, in the measure of validation that chooses."""
    values = {cell.label: cell.seeds(sweep.grid.validation_metric) for cell in sweep.grid.compositions}
    return {label: fmean(each[seed] for seed in seeds) for label, each in values.items() if each}


def row(sweep: Results, everything: dict[str, float], seeds: Sequence[int]) -> str:
    """One row: trials, cells, the best of them, how far it lies below the best of all, and whether it ends there."""
    cells, best, ahead = len(means(sweep, seeds)), order(sweep.grid).best.label, outlook(sweep)
    assert ahead
    below, chance = 100 * (max(everything.values()) - everything[best]), chance_in_words(ahead.better)
    end = ": it ends" if ahead.better < UNLIKELY else ""
    return f"{len(seeds) * cells} | {cells} | {short(best)} | {below:.1f} points | {chance}{end} |"


def whole() -> dict[str, float]:
    """The means of all cells of the whole grid on CIFAR-10 over its three seeds."""
    return means(read_sweep(WHOLE), range(3))


def really_run() -> list[str]:
    """The run on CIFAR-10 and the verdicts on its predictions, in Markdown."""
    run = read_sweep(REALLY_RUN)
    written = ["", "| # | verdict | measured |", "| --: | --- | --- |"]
    written += [f"| {number} | **{each.outcome}** | {each.seen} |" for number, each in wrong_first(verdicts(run))]
    written += ["", "| trials | cells | best of them | below the best of all | probability of a better one |"]
    written += ["| --: | --: | --- | --: | --: |"]
    budgets = range(BATCH, len(means(run, [0])) + 1, BATCH)
    written += [f"| {row(sweep, whole(), [0])}" for sweep in stages(REALLY_RUN, [0], budgets) if outlook(sweep)]
    return [*written, ""]


def verdicts(run: Results) -> dict[int, Verdict]:
    """What became of the predictions, by number."""
    everything, trained = whole(), means(run, [0])
    best, ahead = order(run.grid).best.label, outlook(run)
    assert ahead
    below = 100 * (max(everything.values()) - everything[best])
    held = [cell.low <= everything[label] <= cell.high for label, cell in ahead.cells.items()]
    pair = {"crop(flip_p=0.0)+color", "color+crop(flip_p=0.0)"}
    known = {
        1: (best in pair and below <= 1, f"{short(best)}, {below:.1f} points below the best of all"),
        2: (len(trained) < BUDGET, f"{len(trained)} trials"),
        3: (sum(held) >= 0.8 * len(held), f"{sum(held)} of {len(held)}"),
    }
    return {number: Verdict("confirmed" if holds else "wrong", text) for number, (holds, text) in known.items()}


def main() -> None:
    fill(PAGE, BEGIN, really_run())


if __name__ == "__main__":
    main()
