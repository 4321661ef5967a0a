"""How often a calibration advises a cheaper training, and what that is worth afterwards, simulated: docs/calibrate.md.

``python -m benchmarks.calibrating`` takes a minute of one core, trains nothing and writes
``benchmarks/results/calibrating.json``. The true effect of every op is known, at full price and cheaper. A calibration
sees 12 of the 25 cells of five ops; the next sweep decides by the cheaper training on the same cells, or on the 25
cells of five other ops.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablate.report.stats import regret
from ablate.report.stats.sample import spread

RESULTS = Path("benchmarks/results/calibrating.json")
FIRST, SECOND, BOTH = 0.08, 0.04, 0.02  # standard deviations: effects of first and second ops, and of a pair beyond
OPS = 5
CELLS = [(first, second) for first in range(OPS) for second in range(OPS)]
SAMPLED = 12
WITHIN = 0.01
SIMULATED = 1000
TRAININGS = {"ranks as the full one": 0.0, "differs by 2 points per cell": 0.02, "useless": 0.5}
"""The standard deviation of the difference between cheap and full true accuracy, cell by cell."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Shares of simulated calibrations and, for those that advise the training, of next sweeps that lose over a point.

    ``advised`` is by the interval of the regret, ``by_regret`` by the regret alone.
    """

    advised: float
    same_cells: float
    other_ops: float
    by_regret: float
    by_regret_other_ops: float


def grid(rng: np.random.Generator, off: float) -> tuple[Array, Array]:
    """The true accuracies [cells] of a grid of five ops, at full price and cheaper."""
    first, second = FIRST * rng.standard_normal(OPS), SECOND * rng.standard_normal(OPS)
    full = np.array([first[a] + second[b] for a, b in CELLS]) + BOTH * rng.standard_normal(len(CELLS))
    return full, full + off * rng.standard_normal(len(CELLS))


def measured(rng: np.random.Generator, truth: Array, noise: float, seeds: int) -> Array:
    """Measured accuracies [cells, seeds]."""
    return np.asarray(truth[:, None] + noise * rng.standard_normal((len(truth), seeds)))


def loses(rng: np.random.Generator, full: Array, cheap: Array, noise: float, seeds: int) -> bool:
    """True if a sweep of the cheaper training prefers a cell that is truly worse than the best by over a point."""
    return regret.regret(full.tolist(), measured(rng, cheap, noise, seeds).mean(axis=1).tolist()) > WITHIN


def simulate(off: float, noise: float, seeds: int) -> Row:
    """Simulate calibrations of a training, and the next sweep after each."""
    rng = np.random.default_rng(0)
    by_interval, alone = [], []
    for _ in range(SIMULATED):
        full, cheap = grid(rng, off)
        seen = measured(rng, full, noise, seeds).mean(axis=1)
        ranked = [str(cell) for cell in np.argsort(-seen)]
        half = SAMPLED // 2
        chosen = [int(cell) for cell in (*ranked[:half], *spread(ranked[half:], SAMPLED - half))]
        values = measured(rng, cheap[chosen], noise, seeds)
        bounds = regret.interval(seen[chosen].tolist(), values.tolist(), [tuple(map(str, CELLS[i])) for i in chosen])
        assert bounds
        after = loses(rng, full[chosen], cheap[chosen], noise, seeds), loses(rng, *grid(rng, off), noise, seeds)
        if bounds[1] <= WITHIN:
            by_interval.append(after)
        if regret.regret(seen[chosen].tolist(), values.mean(axis=1).tolist()) <= WITHIN:
            alone.append(after)
    same, other = _shares(by_interval)
    return Row(len(by_interval) / SIMULATED, same, other, len(alone) / SIMULATED, _shares(alone)[1])


def _shares(after: list[tuple[bool, bool]]) -> tuple[float, float]:
    if not after:
        return 0.0, 0.0
    same, other = np.mean(after, axis=0)
    return float(same), float(other)


def table(rows: dict[str, dict[str, float]]) -> list[str]:
    """The table, in Markdown."""
    lines = [
        "| training | noise | seeds | advised | then, same cells | then, other ops | by regret alone | then, others |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, content in rows.items():
        training, noise, seeds = name.split("@")
        shares = " | ".join(f"{100 * share:.0f} %" for share in content.values())
        lines.append(f"| {training} | {noise} | {seeds} | {shares} |")
    return lines


def main() -> None:
    """Simulate, store and print."""
    rows = {
        f"{name}@{100 * noise:g}@{seeds}": asdict(simulate(off, noise, seeds))
        for name, off in TRAININGS.items()
        for noise in (0.005, 0.015)
        for seeds in (2, 3, 5)
    }
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
