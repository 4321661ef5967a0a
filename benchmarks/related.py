"""How often two unrelated grids are called related, by resampling ops and by resampling cells: docs/report.md.

``python -m benchmarks.related`` takes a minute on one core and trains nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ablate.report.stats.ranks import interval

RESULTS = Path("benchmarks/results/related.json")
DRAWS = 400


def unrelated(rng: np.random.Generator, k: int) -> list[float]:
    """A grid of ``k`` ops, row by row: effects of ops, the same first and second, interactions, a little noise."""
    op, pair = rng.standard_normal(k), rng.standard_normal((k, k))
    noise = 0.1 * rng.standard_normal((k, k))
    return [float(value) for value in (op[:, None] + op + 0.3 * (pair + pair.T) + noise).ravel()]


def excluded(k: int) -> dict[str, float]:
    """The shares of pairs of unrelated grids whose interval excludes 0."""
    ops = [(str(i), str(j)) for i in range(k) for j in range(k)]
    ways = {"ops": ops, "cells": [(f"{i}+{j}",) for i, j in ops]}
    counts = dict.fromkeys(ways, 0)
    for draw in range(DRAWS):
        rng = np.random.default_rng([k, draw])
        one, other = unrelated(rng, k), unrelated(rng, k)
        for way, places in ways.items():
            low, high = interval(one, other, places)
            counts[way] += low > 0 or high < 0
    return {way: count / DRAWS for way, count in counts.items()}


def main() -> None:
    """Simulate, write and print the JSON."""
    text = json.dumps({f"{k} ops": excluded(k) for k in (7, 4)}, indent=1)
    RESULTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
