"""How often what a report says of simulated sweeps is true: docs/report.md's table.

``python -m benchmarks.coverage`` takes some minutes on one core and trains nothing. Sweeps of 49 cells are drawn from
known means and noise, fitted as a report fits them, and again with one variance for all cells, as reports did before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ablate.inference import model as inference
from ablate.inference.model import TwoWayModel, estimate
from ablate.report.figures.paper import published

RESULTS = Path("benchmarks/results/coverage.json")
SWEEPS, ADVISED = 500, 100  # sweeps of a row; those whose advice is tried
CELLS, OF_SEED = 49, 1.0
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """``means`` and ``noise`` (standard deviations), both [cells] and in points; ``holes`` trials that are missing."""

    name: str
    means: Array
    noise: Array
    seeds: int = 3
    holes: int = 0


def truths() -> list[Truth]:
    """Of every row; the best cell of a ladder is the first, each other one 0.2 points below the one before."""
    even, ladder = np.ones(CELLS), -0.2 * np.arange(CELLS)
    table = published()
    figure5 = np.array([table[a][b] for a in table for b in table])
    loud, unstable = np.geomspace(4, 0.5, CELLS), np.where(np.arange(CELLS) == 0, 5.0, 1.0)
    halves = np.where(np.arange(CELLS) < CELLS / 2, 1.0, 5.0)
    return [
        Truth("all equal, 3 seeds, sd 1", 0 * ladder, even),
        Truth("ladder, 3 seeds, sd 1", ladder, even),
        Truth("Figure 5's means, 3 seeds, sd 1", figure5, even),
        Truth("ladder, 2 seeds, sd 1", ladder, even, seeds=2),
        Truth("ladder, one trial missing", ladder, even, holes=1),
        Truth("ladder, ten trials missing", ladder, even, holes=10),
        Truth("ladder, sd 4 to 0.5, best the noisiest", ladder, loud),
        Truth("ladder, sd 0.5 to 4, best the quietest", ladder, loud[::-1]),
        Truth("ladder, sd 1, only the best unstable (sd 5)", ladder, unstable),
        Truth("ladder, sd 1 good half, 5 bad half", ladder, halves),
    ]


def sweep(truth: Truth, number: int, seeds: int | None = None) -> dict[str, dict[int, float]]:
    """A simulated sweep's values, in points, by cell and seed."""
    rng = np.random.default_rng([number, seeds or 0])
    shape = len(truth.means), seeds or truth.seeds
    y = (
        truth.means[:, None]
        + OF_SEED * rng.standard_normal(shape[1])
        + truth.noise[:, None] * rng.standard_normal(shape)
    )
    cells = {str(c): dict(enumerate(row.tolist())) for c, row in enumerate(y)}
    for c in rng.choice(shape[0], truth.holes, replace=False):
        del cells[str(c)][int(rng.integers(shape[1]))]
    return cells


def one_variance(variances: Array, df: Array, pooled: float) -> tuple[Array, Array]:
    """What reports did before: the same variance and degrees of freedom for every cell."""
    return np.full(len(df), float(df @ variances / df.sum())), np.full(len(df), pooled)


def judged(truth: Truth, fit: Callable[[dict[str, dict[int, float]]], TwoWayModel | None]) -> dict[str, float]:
    """Shares of sweeps (and the median number of contenders), see :func:`main`."""
    best = int(truth.means.argmax())
    held, sizes, pairs, own, said, right = [], [], [], [], [], []
    upper = np.triu_indices(CELLS, 1)
    differences = truth.means[:, None] - truth.means[None]
    for number in range(SWEEPS):
        model = fit(sweep(truth, number))
        assert model
        held.append(str(best) in model.contenders)
        sizes.append(len(model.contenders))
        covered = np.abs(model.means[:, None] - model.means[None] - differences) <= half_widths(model)
        pairs.append(covered[upper].mean())
        own.append(np.delete(covered[best], best).mean())
        named = model.contenders[0]
        said.append(model.p_best[named])
        right.append(named == str(best))
    shares = {"held": held, "pairs": pairs, "own": own, "said": said, "right": right}
    return {name: float(np.mean(values)) for name, values in shares.items()} | {"size": float(np.median(sizes))}


def half_widths(model: TwoWayModel) -> Array:
    """Half of each pair's 95 % interval, [cells, cells]: as :meth:`TwoWayModel.difference` has it, as a test holds."""
    own = model.variances / np.array(model.n)
    shares = own[:, None] + own[None]
    freedom = shares / (own[:, None] / model.freedom[:, None] + own[None] / model.freedom[None])
    variance = np.diag(model.covariance)[:, None] + np.diag(model.covariance)[None] - 2 * model.covariance
    return np.asarray(stdtrit(freedom, 0.975) * np.sqrt(np.maximum(variance, 0.0)))


def advice(truth: Truth) -> dict[str, float]:
    """Of the sweeps with a second contender: how many get a number of seeds, its median, how often it suffices."""
    asked, numbers, apart = 0, [], []
    for number in range(ADVISED):
        model = estimate(sweep(truth, number))
        assert model
        if len(model.contenders) < 2:
            continue
        asked += 1
        pair = model.contenders[:2]
        needed = model.seeds_to_separate(*pair)
        numbers.append(needed or np.inf)
        if needed:
            again = estimate(sweep(truth, SWEEPS + number, needed))
            assert again
            apart.append(not set(pair) <= set(again.contenders))
    median = float(np.median(numbers)) if numbers else 0.0
    return {
        "asked": asked,
        "median seeds": median if np.isfinite(median) else -1.0,
        "tried": len(apart),
        "apart": float(np.mean(apart)) if apart else -1.0,
    }


def rows(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tables, in Markdown: first what is moderated, in brackets what one variance for all cells gives."""

    def both(row: Mapping[str, Any], name: str, digits: int = 3) -> str:
        return f"{row['moderated'][name]:.{digits}f} ({row['one variance'][name]:.{digits}f})"

    table = [
        "| truth and noise | the set holds the best | cells in it | all pairs' intervals | those of the best cell |",
        "| --- | --: | --: | --: | --: |",
    ]
    for row in found:
        shares = f"{both(row, 'held')} | {both(row, 'size', 0)} | {both(row, 'pairs')} | {both(row, 'own')}"
        table.append(f"| {row['truth']} | {shares} |")
    table += [
        "",
        "| truth and noise | P(best) of the pick: said, true | seeds advised, median | told apart so |",
    ]
    table.append("| --- | --: | --: | --: |")
    for row in found:
        said, asked = row["moderated"], row["advice"]
        median = f"{asked['median seeds']:.0f}" if asked["median seeds"] > 0 else "more than 1000"
        apart = f"{asked['apart']:.2f} of {asked['tried']}" if asked["tried"] else "none is advised"
        table.append(f"| {row['truth']} | {said['said']:.2f}, {said['right']:.2f} | {median} | {apart} |")
    return table


def main() -> None:
    """Simulate, write the JSON, print the table."""
    found: list[dict[str, Any]] = []
    for truth in truths():
        new = judged(truth, estimate)
        with patch.object(inference, "moderated", one_variance):
            old = judged(truth, estimate)
        found.append({"truth": truth.name, "moderated": new, "one variance": old, "advice": advice(truth)})
        print(json.dumps(found[-1]), flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(rows(found)))


if __name__ == "__main__":
    main()
