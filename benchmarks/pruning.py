"""What pruning a grid would have cost and missed, replayed on the committed records: docs/pruning.md's tables.

``python -m benchmarks.pruning`` takes some seconds and trains nothing. Each grid is one case, with its own seeds: the
winner is the cell with the highest mean validation accuracy, the regret what the best cell that is left is below it,
the contenders are those of the whole grid. Rungs were tuned on :data:`TUNED_ON` and tried on :data:`TRIED_ON`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ablate.config.measure import KNN, measured_by, on_validation
from ablate.config.sweep import Rung
from ablate.inference.model import estimate
from ablate.report.data.grid import LINEAR
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.prune import RUNGS, go_on, knn_at
from ablate.sweep.record import read_records

TUNED_ON, TRIED_ON = Path("results/fig5-glyphs-5-seeds"), Path("results/fig5-glyphs")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """``knn[epoch]`` and ``final`` are ``[cells, seeds]``: validation kNN on the way, linear validation accuracy."""

    epochs: int
    knn: dict[int, Array]
    final: Array


@dataclass(frozen=True)
class Outcome:
    """``cost``: the share of the training that is left; ``regret``: a fraction; ``held`` of the ``contenders``."""

    cost: float
    left: int
    regret: float
    held: int
    contenders: int


def read(directory: Path) -> Histories:
    """A committed grid's histories, whole, by the accuracy that chooses in it."""
    experiment = load_plan(directory)
    chosen, on_the_way = (on_validation(measured_by(LINEAR, experiment.measure)), measured_by(KNN, experiment.measure))
    trials = [trial for trial in plan(experiment) if trial.reference is None]
    records, _ = read_records(directory, trials, points=10_000)
    labels, seeds = list(dict.fromkeys(t.label for t in trials)), list(experiment.seeds)
    epochs = [int(e["epoch"] or 0) for e in records[trials[0].id].history if e.get(on_the_way) is not None]
    shape = len(labels), len(seeds)
    knn, final = {epoch: np.zeros(shape) for epoch in epochs}, np.zeros(shape)
    for trial in trials:
        place = labels.index(trial.label), seeds.index(trial.seed)
        final[place] = records[trial.id].metrics[chosen]
        for epoch in epochs:
            knn[epoch][place] = knn_at(records[trial.id], epoch, experiment.measure)
    return Histories(experiment.shared.epochs, knn, final)


def pruned(histories: Histories, rungs: Sequence[Rung], seeds: int | None = None) -> tuple[list[int], float]:
    """The cells that are left, and the share of the training that they and the others took.

    ``seeds``: how many of them the rungs see; with one, the shares alone decide.
    """
    cells, last, spent = len(histories.final), 0, 0.0
    alive = list(range(cells))
    for rung in rungs:
        epoch = rung.epoch(histories.epochs)
        spent += len(alive) * (epoch - last)
        knn = histories.knn[epoch].mean(axis=1, keepdims=True) if seeds == 1 else histories.knn[epoch]
        there = {str(cell): dict(enumerate(knn[cell].tolist())) if cell in alive else {} for cell in range(cells)}
        alive, last = sorted(map(int, go_on(there, rung))), epoch
    return alive, (spent + len(alive) * (histories.epochs - last)) / (cells * histories.epochs)


def raced(histories: Histories, top: int) -> tuple[list[int], float]:
    """Seed racing: one seed everywhere, all the others for the ``top`` cells."""
    cells, n = histories.final.shape
    alive = np.argsort(-histories.final[:, 0], kind="stable")[:top].tolist()
    return alive, (cells + (n - 1) * top) / (cells * n)


def outcome(histories: Histories, left: Sequence[int], cost: float) -> Outcome:
    """What a policy that leaves the cells ``left`` would have missed."""
    means = histories.final.mean(axis=1)
    model = estimate({str(cell): dict(enumerate(row.tolist())) for cell, row in enumerate(histories.final)})
    contenders = set(map(int, model.contenders)) if model else set()
    return Outcome(
        cost, len(left), float(means.max() - means[left].max()), len(contenders & set(left)), len(contenders)
    )


def equal_cost(histories: Histories, cost: float) -> int:
    """The most cells that seed racing can run all seeds of, for no more than ``cost``; at least one."""
    cells, n = histories.final.shape
    return max(1, int((cost * cells * n - cells) / (n - 1) + 1e-9))


def outcomes(directory: Path) -> dict[str, Outcome]:
    """Of pruning and what could be done instead."""
    histories = read(directory)
    prune = pruned(histories, RUNGS)
    top = equal_cost(histories, prune[1])
    found = {
        "pruned": prune,
        "by the shares alone, as before": pruned(histories, RUNGS, seeds=1),
        f"seed racing, {top} to all seeds": raced(histories, top),
        "the first rung alone": pruned(histories, RUNGS[:1]),
    }
    return {name: outcome(histories, *policy) for name, policy in found.items()}


def rows(directory: Path) -> list[str]:
    """The table of a grid, in Markdown."""
    table = ["| | training | cells left | regret | contenders left |", "| --- | --: | --: | --: | --: |"]
    return table + [
        f"| {name} | {100 * o.cost:.1f} % | {o.left} | {100 * o.regret:.1f} points | {o.held} of {o.contenders} |"
        for name, o in outcomes(directory).items()
    ]


def correlations(directory: Path) -> list[str]:
    """How the cells' mean kNN on the way ranks them, in Markdown."""
    histories = read(directory)
    final = histories.final.mean(axis=1)
    winner = int(final.argmax())
    table = ["| after epoch | Spearman with final validation accuracy | rank of the winner |", "| --: | --: | --: |"]
    for epoch, knn in histories.knn.items():
        mean = knn.mean(axis=1)
        rho = float(spearmanr(mean, final).statistic)
        table.append(f"| {epoch} | {rho:+.2f} | {int((mean > mean[winner]).sum()) + 1} |")
    return table


def main() -> None:
    """Print the tables."""
    for directory in (TUNED_ON, TRIED_ON):
        print("\n".join(["", f"## {directory.name}", "", *rows(directory), "", *correlations(directory)]))


if __name__ == "__main__":
    main()
