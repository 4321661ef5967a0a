"""What a search finds for how much training, replayed on a committed grid: docs/search.md's table.

``python -m benchmarks.searching`` takes some minutes and trains nothing. The space is the grid's own: its ops alone
and in ordered pairs, all of which are on record. A replay has its own sampler seed and draws as many trial seeds as the
grid has, with replacement; the regret is what the best composition that was trained to the end is below the best of
all, by mean validation accuracy over the drawn seeds. The cost is counted in compositions trained to the end: a pruned
one counts for its share of the epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ablate.config.sweep import NamedComposition, Rung, Search, SweepPlan
from ablate.search.propose import Measured, propose
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.prune import RUNGS, go_on
from benchmarks.pruning import TRIED_ON, Array, Histories, read

REPLAYS = 100
REGRET = 0.01
COSTS = (8, 12, 16, 24)
Sampler = Literal["tpe", "random"]
POLICIES: dict[str, tuple[Sampler, tuple[Rung, ...]]] = {
    "random": ("random", ()),
    "TPE": ("tpe", ()),
    "random, pruned": ("random", RUNGS),
    "TPE, pruned": ("tpe", RUNGS),
}


@dataclass
class Replay:
    """A search over what is on record, with the trial ``seeds`` drawn.

    ``final`` is their mean per cell, ``knn[epoch]`` is [cells, seeds]; ``epochs`` says how far cells were
    trained, as proposed.
    """

    labels: list[str]
    search: Search
    rungs: tuple[Rung, ...]
    whole: int
    seeds: NDArray[np.int64]
    final: Array
    knn: dict[int, Array]
    epochs: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, experiment: SweepPlan, histories: Histories, number: int, sampler: Sampler, rungs: tuple[Rung, ...]
    ) -> Replay:
        """Replay ``number``; the same draws whatever the sampler and the rungs."""
        n = histories.final.shape[1]
        seeds = np.random.default_rng(number).integers(0, n, n)
        return cls(
            labels=list(dict.fromkeys(trial.label for trial in plan(experiment) if trial.reference is None)),
            search=Search(ops=experiment.ops, max_length=2, sampler=sampler, seed=number),
            rungs=rungs,
            whole=histories.epochs,
            seeds=seeds,
            final=histories.final[:, seeds].mean(axis=1),
            knn={epoch: values[:, seeds] for epoch, values in histories.knn.items()},
        )

    def run(self) -> Iterator[tuple[float, float]]:
        """After every batch: the cost so far, and the best accuracy."""
        known: list[Measured] = []
        while batch := propose(self.search, known, {}):
            cells = [self.labels.index("+".join(op.name for op in item.ops)) for item in batch]
            self.epochs |= dict.fromkeys(cells, self.whole)
            self._prune(set(cells))
            known += [self._known(item, cell) for item, cell in zip(batch, cells, strict=True)]
            best = max(float(self.final[cell]) for cell, end in self.epochs.items() if end == self.whole)
            yield sum(self.epochs.values()) / self.whole, best

    def _prune(self, alive: set[int]) -> None:
        for rung in self.rungs:
            epoch = rung.epoch(self.whole)
            known = {cell: self.knn[epoch][cell].tolist() if end >= epoch else [] for cell, end in self.epochs.items()}
            best = go_on({str(cell): dict(enumerate(values)) for cell, values in known.items()}, rung)
            behind = alive - set(map(int, best))
            self.epochs |= dict.fromkeys(behind, epoch)
            alive -= behind

    def _known(self, item: NamedComposition, cell: int) -> Measured:
        if (end := self.epochs[cell]) == self.whole:
            return Measured(item, float(self.final[cell]))
        return Measured(item, None, {epoch: float(knn[cell].mean()) for epoch, knn in self.knn.items() if epoch <= end})


def replays(sampler: Sampler, rungs: tuple[Rung, ...]) -> Array:
    """``[replays, costs]``: the regret at every cost."""
    experiment, histories = load_plan(TRIED_ON), read(TRIED_ON)
    regrets = np.empty((REPLAYS, len(COSTS)))
    for number in range(REPLAYS):
        replay = Replay.of(experiment, histories, number, sampler, rungs)
        best = np.zeros(len(COSTS))
        for cost, accuracy in replay.run():
            best = np.where(np.array(COSTS) >= cost - 1e-9, accuracy, best)
            if cost >= max(COSTS):
                break
        regrets[number] = replay.final.max() - best
    return regrets


def rows() -> list[str]:
    """The table, in Markdown: mean regret in points, and the share of replays with at most one."""
    table = ["| trained to the end | " + " | ".join(map(str, COSTS)) + " |", "| --- |" + " --: |" * len(COSTS)]
    for name, (sampler, rungs) in POLICIES.items():
        regrets = replays(sampler, rungs)
        good = (regrets <= REGRET + 1e-9).mean(axis=0)
        cells = [
            f"{100 * mean:.1f} ({100 * share:.0f} %)" for mean, share in zip(regrets.mean(axis=0), good, strict=True)
        ]
        table.append(f"| {name} | " + " | ".join(cells) + " |")
    return table


if __name__ == "__main__":
    print("\n".join(rows()))
