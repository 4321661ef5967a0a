from __future__ import annotations

import itertools

import numpy as np
import pytest

from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.effects import interactions, main_effects


def grid_of_values(values, seeds=3, noise=0.01):
    """values[i, j] for ops a, b, c, with seeds that shift all cells alike and a little noise."""
    rng = np.random.default_rng(0)
    ops = tuple("abc"[: len(values)])
    shift = rng.standard_normal(seeds)
    cells = {}
    for i, j in itertools.product(range(len(ops)), repeat=2):
        label = ops[i] if i == j else f"{ops[i]}+{ops[j]}"
        known = {s: float(values[i][j] + shift[s] + noise * rng.standard_normal()) for s in range(seeds)}
        cells[ops[i], ops[j]] = Cell(label, {"linear_top1": known}, planned=seeds)
    return Grid(ops, cells, {})


def test_main_effects_are_row_and_column_means():
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 1.2]])
    for number, effect in enumerate(main_effects(grid_of_values(values, noise=0))):
        assert effect.first.mean == pytest.approx(values[number].mean() - values.mean())
        assert effect.second.mean == pytest.approx(values[:, number].mean() - values.mean())
    for effect in main_effects(grid_of_values(values)):
        assert effect.first.low < effect.first.mean < effect.first.high


def test_interactions_find_the_pair_that_works_together():
    additive = np.add.outer([0.1, 0.2, 0.3], [0.0, 0.1, 0.4])
    assert all(abs(i.difference.mean) < 1e-12 for i in interactions(grid_of_values(additive, noise=0)))
    additive[0, 2] += 0.3
    additive[2, 0] += 0.3
    first = interactions(grid_of_values(additive))[0]
    assert (first.a, first.b) == ("a", "c")
    assert first.difference.low > 0


def test_one_seed_has_no_interval_and_a_hole_has_no_effects():
    grid = grid_of_values(np.eye(2), seeds=1)
    assert main_effects(grid)[0].first.low is None
    cells = {**grid.cells, ("a", "b"): Cell("a+b", {}, planned=1)}
    assert main_effects(Grid(grid.ops, cells, {})) == []
    assert interactions(Grid(grid.ops, cells, {})) == []
