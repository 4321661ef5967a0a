"""What a search finds for how much training, replayed on whole grids: the tables of docs/search.md.

``python -m benchmarks.searching`` writes them there; it takes half an hour and trains nothing. The space is that of
each grid: its ops alone and in ordered pairs, all of which are on record. A replay has its own sampler seed and draws
as many trial seeds as the grid has, with replacement; the regret is what the best composition that was trained to the
end is below the best of all, by mean validation accuracy over the drawn seeds. The cost is counted in compositions
trained to the end: a pruned one counts for its share of the epochs. The Gaussian process was designed on the grids of
:mod:`benchmarks.simulated`; nothing was tuned on these but the first batch of a search with a prior (docs/search.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablate.config.sweep import NamedComposition, NamedOp, Prior, Rung, Sampler, Search
from ablate.inference.kernel import Compositions
from ablate.ops import parse_op, spec
from ablate.report.figures.paper import published
from ablate.search.measured import Measured, Proposal
from ablate.search.propose import propose
from ablate.sweep.budget import UNLIKELY
from ablate.sweep.plan import is_sweep, load_plan
from ablate.sweep.prune import RUNGS, go_on
from benchmarks.predictions import SETS
from benchmarks.pruning import TRIED_ON, TUNED_ON, Array, Histories, read
from benchmarks.simulated import coverage

PAGE = Path("docs/search.md")
REPLAYS = 100
REGRET = 0.01
COSTS = (8, 12, 16, 24)
SHARES = (0.25, 0.5, 0.75)
LATER = Path("results/real-cifar10-seven")
SMALLER = [Path(f"results/real-{name}") for name in SETS.values()]
PriorOf = Callable[[int], Prior]
"""A prior for each replay, by its number."""
POLICIES: dict[str, tuple[Sampler, tuple[Rung, ...]]] = {
    "random": ("random", ()),
    "TPE": ("tpe", ()),
    "GP": ("gp", ()),
    "random, pruned": ("random", RUNGS),
    "TPE, pruned": ("tpe", RUNGS),
    "GP, pruned": ("gp", RUNGS),
}


@dataclass(frozen=True)
class Whole:
    """A whole grid: its ``ops``, and what is known of the cells ``op1+op2`` in the order of ``labels``."""

    name: str
    ops: tuple[NamedOp, ...]
    labels: list[str]
    histories: Histories

    @classmethod
    def committed(cls, directory: Path) -> Whole:
        """The grid of a sweep."""
        ops = load_plan(directory).ops
        return cls(str(directory), ops, _labels(ops), read(directory))

    @classmethod
    def paper(cls) -> Whole:
        """Figure 5 of the SimCLR paper: one number per cell, and nothing on the way."""
        table = published()
        ops = tuple(NamedOp(label=name, op=spec(parse_op(name))) for name in table)
        final = np.array([[table[a][b] / 100] for a in table for b in table])
        return cls("Figure 5 of the paper", ops, _labels(ops), Histories(8, {}, final))


def _labels(ops: tuple[NamedOp, ...]) -> list[str]:
    names = [op.op.name for op in ops]
    return [a if a == b else f"{a}+{b}" for a in names for b in names]


def grids() -> list[Whole]:
    """The whole grids of which searches are replayed."""
    directories = [TRIED_ON, TUNED_ON, *([LATER] if is_sweep(LATER) else [])]
    return [*map(Whole.committed, directories), Whole.paper()]


def every_grid() -> list[Whole]:
    """Every whole grid there is: also those of five ops on real images."""
    return [*grids(), *(Whole.committed(directory) for directory in SMALLER if is_sweep(directory))]


@dataclass
class Replay:
    """A search over what is on record, with the trial ``seeds`` drawn.

    ``final`` and ``knn[epoch]`` are [cells, seeds]; ``epochs`` says how far cells were trained, as proposed.
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
    def of(cls, grid: Whole, number: int, sampler: Sampler, rungs: tuple[Rung, ...]) -> Replay:
        """Replay ``number``; the same draws whatever the sampler and the rungs."""
        histories = grid.histories
        n = histories.final.shape[1]
        seeds = np.random.default_rng(number).integers(0, n, n)
        return cls(
            labels=grid.labels,
            search=Search(ops=grid.ops, max_length=2, sampler=sampler, seed=number),
            rungs=rungs,
            whole=histories.epochs,
            seeds=seeds,
            final=histories.final[:, seeds],
            knn={epoch: values[:, seeds] for epoch, values in histories.knn.items()},
        )

    def knowing(self, prior: Prior) -> Replay:
        """The same replay by a sampler that knows another sweep."""
        return replace(self, search=self.search.replace(prior=(prior,)))

    @property
    def best(self) -> float:
        """The highest mean of all cells."""
        return float(self.final.mean(axis=1).max())

    def run(self) -> Iterator[tuple[float, float, Proposal]]:
        """After every batch: the cost so far, the best accuracy, and what is proposed next."""
        known: list[Measured] = []
        proposal = propose(self.search, known, {}, REGRET)
        while batch := proposal.batch:
            cells = [self.labels.index("+".join(op.name for op in item.ops)) for item in batch]
            self.epochs |= dict.fromkeys(cells, self.whole)
            self._prune(set(cells))
            known += [self._known(item, cell) for item, cell in zip(batch, cells, strict=True)]
            best = max(float(self.final[cell].mean()) for cell, end in self.epochs.items() if end == self.whole)
            proposal = propose(self.search, known, {}, REGRET)
            yield sum(self.epochs.values()) / self.whole, best, proposal

    def _prune(self, alive: set[int]) -> None:
        for rung in self.rungs:
            epoch = rung.epoch(self.whole)
            known = {cell: self.knn[epoch][cell].tolist() if end >= epoch else [] for cell, end in self.epochs.items()}
            best = go_on({str(cell): dict(enumerate(values)) for cell, values in known.items()}, rung)
            behind = alive - set(map(int, best))
            self.epochs |= dict.fromkeys(behind, epoch)
            alive -= behind

    def _known(self, item: NamedComposition, cell: int) -> Measured:
        end, rungs = self.epochs[cell], [rung.epoch(self.whole) for rung in self.rungs]
        knn = {epoch: float(self.knn[epoch][cell].mean()) for epoch in rungs if epoch <= end}
        if end < self.whole:
            return Measured(item, None, knn)
        values = self.final[cell].tolist()
        return Measured(item, float(np.mean(values)), knn, dict(enumerate(values)))


@dataclass(frozen=True)
class Found:
    """Over replays: ``regret`` [replays, costs], and the ``cost`` and ``regret_then`` when the rule said stop."""

    regret: Array
    cost: Array
    regret_then: Array


def replays(
    grid: Whole, sampler: Sampler, rungs: tuple[Rung, ...], number: int = REPLAYS, prior: PriorOf | None = None
) -> Found:
    """Replay many searches of a grid, each with its own prior if there are any."""
    regrets, stops = np.empty((number, len(COSTS))), np.full((number, 2), np.nan)
    for replay_number in range(number):
        replay = Replay.of(grid, replay_number, sampler, rungs)
        replay = replay.knowing(prior(replay_number)) if prior else replay
        best = np.zeros(len(COSTS))
        for cost, accuracy, proposal in replay.run():
            best = np.where(np.array(COSTS) >= cost - 1e-9, accuracy, best)
            if proposal.better is not None and proposal.better < UNLIKELY and np.isnan(stops[replay_number, 0]):
                stops[replay_number] = cost, replay.best - accuracy
            if cost >= max(COSTS) and (sampler != "gp" or not np.isnan(stops[replay_number, 0])):
                break
        regrets[replay_number] = replay.best - best
    return Found(regrets, stops[:, 0], stops[:, 1])


def regret_rows(grid: Whole, number: int = REPLAYS) -> list[str]:
    """The table of a grid, in Markdown: mean regret in points, its 90 % quantile, and the share with at most one."""
    costs = [cost for cost in COSTS if cost <= len(grid.labels)]
    table = ["| trained to the end | " + " | ".join(map(str, costs)) + " | stops at | regret then |"]
    table.append("| --- |" + " --: |" * (len(costs) + 2))
    for name, (sampler, rungs) in POLICIES.items():
        if rungs and not grid.histories.knn:
            continue
        table.append(_row(name, replays(grid, sampler, rungs, number), len(costs), stops=sampler == "gp"))
    return table


def prior_rows(grid: Whole, other: Whole, number: int = REPLAYS) -> list[str]:
    """The table of a grid if another one is known beforehand, in Markdown, as of :func:`regret_rows`."""
    table = ["| GP knows beforehand | " + " | ".join(map(str, COSTS)) + " | stops at | regret then |"]
    table.append("| --- |" + " --: |" * (len(COSTS) + 2))
    for name, prior in priors(other).items():
        table.append(_row(name, replays(grid, "gp", (), number, prior), len(COSTS), stops=True))
    return table


def priors(other: Whole) -> dict[str, PriorOf | None]:
    """What a search can know beforehand of another grid: nothing, what is known of it, or what misleads."""
    return {
        "nothing": None,
        other.name: lambda _: known_of(other),
        f"{other.name}, ops exchanged": lambda number: exchanged(other, number),
    }


def known_of(grid: Whole) -> Prior:
    """What is known of a grid."""
    return Prior(name=grid.name, means=dict(zip(grid.labels, grid.histories.final.mean(axis=1).tolist(), strict=True)))


def exchanged(grid: Whole, number: int) -> Prior:
    """What is known of a grid, with the names of its ops exchanged at random: a misleading prior."""
    names = [op.op.name for op in grid.ops]
    other = dict(zip(names, np.random.default_rng(number).permutation(names), strict=True))
    means = {"+".join(other[name] for name in label.split("+")): mean for label, mean in known_of(grid).means.items()}
    return Prior(name=grid.name, means=means)


def _row(name: str, found: Found, costs: int, *, stops: bool) -> str:
    cells = [_spread(found.regret[:, place]) for place in range(costs)]
    stop = [f"{np.nanmean(found.cost):.1f}", _spread(found.regret_then)] if stops else ["", ""]
    return f"| {name} | " + " | ".join([*cells, *stop]) + " |"


def _spread(regret: Array) -> str:
    known = regret[~np.isnan(regret)]
    within = (known <= REGRET + 1e-9).mean()
    return f"{100 * known.mean():.1f}, {100 * np.quantile(known, 0.9):.1f} ({100 * within:.0f} %)"


def calibration_rows(of: Sequence[Whole]) -> list[str]:
    """The share of held-out cells in their 90 % intervals, in Markdown, by the share of cells that are known."""
    table = ["| known cells | " + " | ".join(f"{100 * share:.0f} %" for share in SHARES) + " |"]
    table.append("| --- |" + " --: |" * len(SHARES))
    for grid in of:
        row = [f"{100 * held(grid, share):.0f} %" for share in SHARES]
        table.append(f"| {grid.name} | " + " | ".join(row) + " |")
    return table


def held(grid: Whole, share: float) -> float:
    """The share of held-out cells in their 90 % intervals if ``share`` of all is known, over many choices of these."""
    by_name = {op.op.name: op.op for op in grid.ops}
    compositions = Compositions([[by_name[name] for name in label.split("+")] for label in grid.labels])
    cells, values = len(grid.labels), grid.histories.final
    choices = [np.random.default_rng(number).permutation(cells)[: round(share * cells)] for number in range(REPLAYS)]
    return float(np.mean([coverage(values, compositions, known)[0] for known in choices]))


def main() -> None:
    """Write the tables into the page."""
    lines = ["", "Intervals:", "", *calibration_rows(every_grid())]
    for grid in grids():
        lines += ["", f"{grid.name}, {len(grid.labels)} compositions:", "", *regret_rows(grid)]
    glyphs, paper = Whole.committed(TRIED_ON), Whole.paper()
    for grid, other in ((paper, glyphs), (glyphs, paper)):
        lines += ["", f"{grid.name}, with another grid known beforehand:", "", *prior_rows(grid, other)]
    page = PAGE.read_text()
    begin, end = "<!-- searching: python -m benchmarks.searching -->\n", "\n<!-- end of searching -->"
    before, _, rest = page.partition(begin)
    PAGE.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2])


if __name__ == "__main__":
    main()
