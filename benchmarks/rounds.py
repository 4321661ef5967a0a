"""What rounds of seeds cost against fixed seeds, simulated with known truths and replayed on a grid: docs/rounds.md.

``python -m benchmarks.rounds`` takes ten minutes of one core, trains nothing and writes
``benchmarks/results/rounds.json``. In a simulation the true means and the noise of every cell are known, and every seed
shifts all cells alike. Fixed seeds are as certain as rounds with the fewest seeds for every cell at which Hsu's
comparison at 95 %, made once, comes to a verdict as often, and on average bounds as tightly how far the cells that it
leaves may lie below the best.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablate.inference.model import estimate
from ablate.inference.rounds import all_rounds, compare
from ablate.report.data.results import read_sweep
from ablate.report.figures.paper import published
from benchmarks.pruning import TUNED_ON, read

RESULTS = Path("benchmarks/results/rounds.json")
REALLY_RUN = Path("results/real-cifar10-rounds")
WITHIN, DEFAULT, MOST = 0.01, 20, 100
SWEEPS, FIXED = 400, 60  # simulated sweeps in rounds, and with each number of fixed seeds
SHARE, BOUND = 0.02, 0.0005  # by so much fixed seeds may be less certain, which simulation cannot tell
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """True ``means`` and ``noise`` (standard deviations) [cells], in points; the first best cell is cell 0.

    ``fails[cell]`` is the probability that a trial of the cell fails.
    """

    means: Array
    noise: Array
    fails: dict[int, float]

    def draw(self, rng: np.random.Generator, seeds: int) -> Array:
        """Accuracies [cells, seeds] as fractions; NaN where a trial failed. A seed shifts all cells, by a point."""
        shape = len(self.means), seeds
        y = self.means[:, None] + rng.standard_normal(seeds) + self.noise[:, None] * rng.standard_normal(shape)
        for cell, probability in self.fails.items():
            y[cell, rng.random(seeds) < probability] = np.nan
        return np.asarray(y / 100)

    def is_right(self, left: Sequence[int], is_equal: bool) -> bool:
        """True if the best cell is left, and all that are left are as close to it as was said."""
        known = [cell for cell in left if self.fails.get(cell) != 1]
        close = self.means[known] >= self.means.max() - 100 * WITHIN - 1e-9
        return 0 in left and (not is_equal or bool(close.all()))


@dataclass(frozen=True)
class Race:
    """How one sweep in rounds ended: the cells ``left``, its ``trials``, ``why`` it ended, their bound if known."""

    left: tuple[int, ...]
    trials: int
    why: str
    farthest: float


@dataclass(frozen=True)
class Certainty:
    """Means over sweeps: how often there was a ``verdict``, the cells ``left``, and their bound ``farthest``."""

    verdict: float
    left: float
    farthest: float

    def is_reached_by(self, other: Certainty) -> bool:
        """True if the other is as certain; how many cells are left is not compared."""
        return other.verdict >= self.verdict - SHARE and other.farthest <= self.farthest + BOUND


@dataclass(frozen=True)
class Row:
    """Means over simulated sweeps. ``fixed``: seeds that every cell needs for the same certainty; 0: more than 200."""

    cells: int
    right: float
    verdict: float
    left: float
    farthest: float
    trials: float
    fixed: int

    @property
    def share(self) -> float:
        """The trials in rounds as a share of those with fixed seeds."""
        return self.trials / (self.cells * (self.fixed or LIMIT))


LIMIT = 200  # fixed seeds at most


def values_of(y: Array, seeds: Sequence[int]) -> dict[str, dict[int, float]]:
    """Of each cell the values of as many seeds as ``seeds`` says, without failed ones."""
    return {
        str(cell): {s: float(value) for s, value in enumerate(row[:n]) if np.isfinite(value)}
        for cell, (row, n) in enumerate(zip(y, seeds, strict=True))
    }


def race(y: Array, largest: int) -> Race:
    """Rounds on the accuracies y [cells, seeds], of which cells that are dropped do not see the rest."""
    left, seeds, rounds = frozenset(map(str, range(len(y)))), [0] * len(y), list[int]()
    for n in all_rounds(largest):
        rounds.append(n)
        seeds = [n if str(cell) in left else before for cell, before in enumerate(seeds)]
        found = compare(values_of(y, seeds), left, rounds, WITHIN, largest)
        left = found.left
        if found.why:
            break
    return Race(tuple(sorted(map(int, left))), sum(seeds), found.why or "", found.farthest or 0.0)


def once(y: Array) -> tuple[bool, int, float]:
    """One comparison of fixed seeds: whether it comes to a verdict, how many cells it leaves, and their bound."""
    model = estimate(values_of(y, [y.shape[1]] * len(y)))
    if model is None:
        return False, len(y), 1.0
    return len(model.contenders) == 1 or model.farthest <= WITHIN, len(model.contenders), model.farthest


def fixed_seeds(truth: Truth, certainty: Certainty) -> int:
    """The fewest fixed seeds that are as certain; 0 if more than :data:`LIMIT` are needed."""
    draws = [truth.draw(np.random.default_rng([1, number]), LIMIT) for number in range(FIXED)]

    def enough(n: int) -> bool:
        return certainty.is_reached_by(Certainty(*np.mean([once(y[:, :n]) for y in draws], axis=0)))

    low, high = 2, LIMIT
    if not enough(high):
        return 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def simulate(truth: Truth, largest: int, sweeps: int = SWEEPS) -> Row:
    """Sweeps of a known truth in rounds, and the fixed seeds that are as certain."""
    races = [race(truth.draw(np.random.default_rng([0, number]), largest), largest) for number in range(sweeps)]
    right = float(np.mean([truth.is_right(found.left, found.why == "equal") for found in races]))
    certainty = Certainty(
        verdict=float(np.mean([found.why in ("decided", "equal") for found in races])),
        left=float(np.mean([sum(truth.fails.get(cell) != 1 for cell in found.left) for found in races])),
        farthest=float(np.mean([found.farthest for found in races])),
    )
    trials = float(np.mean([found.trials for found in races]))
    return Row(len(truth.means), right, **asdict(certainty), trials=trials, fixed=fixed_seeds(truth, certainty))


def _truth(means: Array, noise: float | Array = 1.0, fails: dict[int, float] | None = None) -> Truth:
    best_first = np.argsort(-means, kind="stable")
    return Truth(means[best_first], np.broadcast_to(noise, len(means))[best_first].astype(float), fails or {})


def _paper() -> Array:
    table = published()
    return np.array([table[first][second] for first in table for second in table])


def _ours() -> Truth:
    """The means of the committed grid and the noise of its cells, as if they were the truth."""
    final = read(TUNED_ON).final
    model = estimate(values_of(final, [final.shape[1]] * len(final)))
    assert model is not None
    return _truth(100 * model.means, 100 * np.sqrt(model.variances))


LADDER = -0.2 * np.arange(49)
TRUTHS: dict[str, Callable[[], Truth]] = {
    "4 equal cells": lambda: _truth(np.zeros(4)),
    "49 equal cells": lambda: _truth(np.zeros(49)),
    "4 equal cells, noise 0.5 to 4": lambda: _truth(np.zeros(4), np.geomspace(4, 0.5, 4)),
    "4 equal cells, one of noise 5": lambda: _truth(np.zeros(4), np.array([5.0, 1, 1, 1])),
    "ladder of 16 cells, 0.5 points apart": lambda: _truth(-0.5 * np.arange(16)),
    "ladder of 49 cells, 0.2 points apart": lambda: _truth(LADDER),
    "the means of Figure 5": lambda: _truth(_paper()),
    "the means of Figure 5, noise 3": lambda: _truth(_paper(), 3.0),
    "ladder of 49, noise 0.5 to 4, the best the noisiest": lambda: _truth(LADDER, np.geomspace(4, 0.5, 49)),
    "ladder of 49, noise 0.5 to 4, the best the quietest": lambda: _truth(LADDER, np.geomspace(0.5, 4, 49)),
    "ladder of 49, the best alone has noise 5": lambda: _truth(LADDER, np.where(np.arange(49) == 0, 5.0, 1.0)),
    "ladder of 49, the second fails always": lambda: _truth(LADDER, 1.0, {1: 1.0}),
    "ladder of 49, the best fails in 3 of 10": lambda: _truth(LADDER, 1.0, {0: 0.3}),
    "means and noise of fig5-glyphs-5-seeds": _ours,
}
"""What is simulated, with noise 1 and in points unless it says otherwise."""


def replay() -> list[Race]:
    """Rounds on the committed grid, up to the five seeds that it has, in every order of its seeds."""
    final = read(TUNED_ON).final
    order = np.argsort(-final.mean(axis=1), kind="stable")
    n = final.shape[1]
    return [race(final[order][:, list(seeds)], n) for seeds in itertools.permutations(range(n))]


def replayed() -> list[str]:
    """The replay's table, in Markdown: rounds, and fixed seeds over every choice of so many of the five."""
    races, final = replay(), read(TUNED_ON).final
    order, (cells, n) = np.argsort(-final.mean(axis=1), kind="stable"), final.shape
    table = ["| | trials | cells left | the winner is left |", "| --- | --: | --: | --: |"]
    mean, left = np.mean([r.trials for r in races]), np.mean([len(r.left) for r in races])
    held = sum(0 in r.left for r in races)
    table.append(f"| rounds, up to {n} seeds | {mean:.1f} | {left:.1f} | {held} of {len(races)} |")
    for fixed in range(3, n + 1):
        models = [
            estimate(values_of(final[order][:, list(seeds)], [fixed] * cells))
            for seeds in itertools.combinations(range(n), fixed)
        ]
        sets = [model.contenders for model in models if model]
        left, held = np.mean([len(one) for one in sets]), sum("0" in one for one in sets)
        table.append(f"| {fixed} fixed seeds | {fixed * cells} | {left:.1f} | {held} of {len(sets)} |")
    return table


def really_run() -> list[str]:
    """The rounds that were run on CIFAR-10, in Markdown: what was known after each, and what fixed seeds would cost."""
    sweep = read_sweep(REALLY_RUN)
    cells = sweep.grid.compositions
    values = {cell.label: cell.seeds(sweep.grid.validation_metric) for cell in cells}
    done = max(map(len, values.values()))
    ends = [seeds for seeds in all_rounds(DEFAULT) if seeds <= done]
    lines = [
        "| after | cells left | may lie below the best, points | trials | with fixed seeds |",
        "| --- | --: | --: | --: | --: |",
    ]
    left: frozenset[str] = frozenset(values)
    trials = 0
    for number, seeds in enumerate(ends):
        trials += len(left) * (seeds - (ends[number - 1] if number else 0))
        by_then = {label: {seed: of[seed] for seed in of if seed < seeds} for label, of in values.items()}
        found = compare(by_then, left, ends[: number + 1], WITHIN, DEFAULT)
        left = found.left
        bound = "" if found.farthest is None else f"{100 * found.farthest:.1f}"
        lines.append(f"| {seeds} seeds | {len(left)} | {bound} | {trials} | {seeds * len(cells)} |")
    return lines


def table(rows: dict[str, dict[str, float]]) -> list[str]:
    """The table of simulations, in Markdown."""
    lines = [
        "| truth | at most | right | verdict | cells left | bound | trials | fixed seeds | trials against fixed |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, content in rows.items():
        truth, largest = name.rsplit("@", 1)
        row = Row(**content)  # type: ignore[arg-type]
        fixed = str(row.fixed) if row.fixed else f"> {LIMIT}"
        below = "" if row.fixed else "< "
        lines.append(
            f"| {truth} | {largest} | {100 * row.right:.1f} % | {100 * row.verdict:.0f} % | {row.left:.1f} | "
            f"{100 * row.farthest:.1f} | "
            f"{row.trials:.0f} | {fixed} | {below}{100 * row.share:.0f} % |"
        )
    return lines


def main() -> None:
    """Simulate, store and print."""
    rows: dict[str, dict[str, float]] = {}
    for name, truth in TRUTHS.items():
        for largest in (DEFAULT, MOST):
            rows[f"{name}@{largest}"] = asdict(simulate(truth(), largest))
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
            print(table(rows)[-1], flush=True)
    print("\n".join(["", *table(rows), "", *replayed(), "", *really_run()]))


if __name__ == "__main__":
    main()
