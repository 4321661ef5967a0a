"""A/A: what the report says of cells that are all the same one, docs/report.md.

``python -m benchmarks.aa`` cuts the seeds of one composition (results/aa-glyphs) into fake sweeps of four cells with
three seeds each, at random, and asks how often the set of cells that cannot be told from the best holds a cell, which
it must in 95 %: all are the best. A fake cell's seeds are other ones than the next cell's, so the pairing by seed is
broken: what a seed does to every cell alike is part of the noise here, and the seed effects that the model fits are
of nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ablate.inference.model import estimate
from ablate.report.data.grid import LINEAR, on_validation
from ablate.report.data.results import read_sweep

DIRECTORY = Path("results/aa-glyphs")
CELLS, SEEDS, CUTS = 4, 3, 5000


def held(values: Sequence[float], cuts: int = CUTS, seed: int = 0) -> float:
    """The share of cells that are held by their fake sweep's set, over random cuts of ``values``."""
    rng, count = np.random.default_rng(seed), 0
    for _ in range(cuts):
        y = rng.permutation(np.array(values))[: CELLS * SEEDS].reshape(CELLS, SEEDS)
        model = estimate({str(c): dict(enumerate(row.tolist())) for c, row in enumerate(y)})
        count += len(model.contenders) if model else CELLS
    return count / (cuts * CELLS)


def accuracies(metric: str = on_validation(LINEAR)) -> list[float]:
    """Of the committed trials, seed by seed."""
    (cell,) = read_sweep(DIRECTORY).grid.further.values()
    return [value for _, value in sorted(cell.seeds(metric).items())]


def predicted(seeds: int, runs: int = 60) -> list[float]:
    """The same for normal noise: of that many sets of values, sorted."""
    rng = np.random.default_rng(1)
    return sorted(held(rng.standard_normal(seeds).tolist(), 200, run) for run in range(runs))


def main() -> None:
    """Print the shares; with ``predict``, what normal noise would give."""
    if sys.argv[1:] == ["predict"]:
        shares = predicted(15)
        print(f"mean {np.mean(shares):.3f}, from {shares[1]:.3f} to {shares[-2]:.3f} in 19 of 20 sets")
        return
    for metric in (on_validation(LINEAR), LINEAR):
        values = accuracies(metric)
        print(f"{metric}: {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}, n = {len(values)}: {held(values):.3f}")


if __name__ == "__main__":
    main()
