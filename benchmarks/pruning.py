"""What pruning a grid would have cost and missed, replayed on the committed records: docs/pruning.md's tables.

``python -m benchmarks.pruning`` takes some seconds and trains nothing. A replay draws as many seeds as the grid has,
with replacement; the winner is the cell with the highest mean validation accuracy over the drawn seeds, and the regret
what the best cell that is left is below it. Rungs were tuned on :data:`TUNED_ON` and tried on :data:`TRIED_ON`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ablate.config import Rung
from ablate.results import read_records
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.prune import RUNGS, kept, knn_at

TUNED_ON, TRIED_ON = Path("results/fig5-glyphs-5-seeds"), Path("results/fig5-glyphs")
REPLAYS = 1000
REGRET = 0.01
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """``knn[epoch]`` and ``final`` are ``[cells, seeds]``: validation kNN on the way, linear validation accuracy."""

    epochs: int
    knn: dict[int, Array]
    final: Array


@dataclass(frozen=True)
class Outcome:
    """Shares: of replays with a regret of at most a point, of the training that is left; and the mean regret."""

    good: float
    cost: float
    regret: float


def read(directory: Path) -> Histories:
    """A committed grid's histories, whole."""
    experiment = load_experiment(directory)
    trials = [trial for trial in plan(experiment) if trial.reference is None]
    records, _ = read_records(directory, trials, points=10_000)
    labels, seeds = list(dict.fromkeys(t.label for t in trials)), list(experiment.seeds)
    epochs = [int(e["epoch"] or 0) for e in records[trials[0].id].history if e.get("knn_val_top1") is not None]
    shape = len(labels), len(seeds)
    knn, final = {epoch: np.zeros(shape) for epoch in epochs}, np.zeros(shape)
    for trial in trials:
        place = labels.index(trial.label), seeds.index(trial.seed)
        final[place] = records[trial.id].metrics["linear_val_top1"]
        for epoch in epochs:
            knn[epoch][place] = knn_at(records[trial.id], epoch)
    return Histories(experiment.shared.epochs, knn, final)


def pruned(histories: Histories, rungs: Sequence[Rung], seeds: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """The cells that are left, and the share of the training that they and the others took."""
    cells, last, spent = len(histories.final), 0, 0.0
    alive = np.arange(cells)
    for rung in rungs:
        epoch = rung.epoch(histories.epochs)
        spent += len(alive) * (epoch - last)
        score = histories.knn[epoch][:, seeds].mean(axis=1)[alive]
        alive, last = alive[np.argsort(-score, kind="stable")[: kept(rung, cells)]], epoch
    return alive, (spent + len(alive) * (histories.epochs - last)) / (cells * histories.epochs)


def raced(histories: Histories, top: int, seeds: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """Seed racing: one seed everywhere, all the others for the ``top`` cells."""
    cells, n = histories.final.shape
    alive = np.argsort(-histories.final[:, seeds[0]], kind="stable")[:top]
    return alive, (cells + (n - 1) * top) / (cells * n)


def replay(histories: Histories, policy: Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], float]]) -> Outcome:
    """A policy on a thousand drawings of the seeds."""
    rng, n = np.random.default_rng(0), histories.final.shape[1]
    regrets, costs = [], []
    for _ in range(REPLAYS):
        seeds = rng.integers(0, n, n)
        final = histories.final[:, seeds].mean(axis=1)
        alive, cost = policy(seeds)
        regrets.append(final.max() - final[alive].max())
        costs.append(cost)
    good = np.mean(np.array(regrets) <= REGRET + 1e-9)
    return Outcome(float(good), float(np.mean(costs)), float(np.mean(regrets)))


def equal_cost(histories: Histories, cost: float) -> int:
    """The most cells that seed racing can run all seeds of, for no more than ``cost``; at least one."""
    cells, n = histories.final.shape
    return max(1, int((cost * cells * n - cells) / (n - 1) + 1e-9))


def rows(directory: Path) -> list[str]:
    """The table of a grid, in Markdown."""
    histories = read(directory)
    prune = replay(histories, lambda seeds: pruned(histories, RUNGS, seeds))
    top = equal_cost(histories, prune.cost)
    race = replay(histories, lambda seeds: raced(histories, top, seeds))
    first = replay(histories, lambda seeds: pruned(histories, RUNGS[:1], seeds))
    named = {"pruned": prune, f"seed racing, {top} to all seeds": race, "the first rung alone": first}
    table = ["| | training | regret of at most 1 point | mean regret |", "| --- | --: | --: | --: |"]
    return table + [
        f"| {name} | {100 * o.cost:.1f} % | {100 * o.good:.1f} % | {100 * o.regret:.2f} points |"
        for name, o in named.items()
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
