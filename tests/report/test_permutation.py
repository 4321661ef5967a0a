"""The agreement of grids by permuting ops: its p value, its size, and that it finds what is there."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from ablate.report.data.grid import Cell
from ablate.report.data.results import read_sweep
from ablate.report.stats import permutation
from ablate.report.stats.comparison import compare
from ablate.report.stats.permutation import permutation_p, smallest
from ablate.report.stats.ranks import spearman
from tests.support.sweeps import sweep


def by_hand(ours, theirs):
    """The definition, one permutation after the other."""
    seen = spearman(ours.ravel().tolist(), theirs.ravel().tolist())
    turned = [ours[np.ix_(order, order)] for order in map(list, permutations(range(len(ours))))]
    return np.mean([spearman(grid.ravel().tolist(), theirs.ravel().tolist()) >= seen - 1e-9 for grid in turned])


def grid_of_effects(rng, k, op=None):
    """Effects of ops, the same first and second, interactions, and noise."""
    effects = rng.standard_normal(k) if op is None else op
    pair = rng.standard_normal((k, k))
    return effects[:, None] + effects + 0.3 * (pair + pair.T) + 0.1 * rng.standard_normal((k, k))


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_p_counts_permutations_of_ops(k):
    rng = np.random.default_rng(k)
    ours, theirs = np.round(rng.random((2, k, k)), 1)  # with ties
    assert permutation_p(ours, theirs) == pytest.approx(by_hand(ours, theirs))
    assert permutation_p(ours, ours) == pytest.approx(smallest(k))
    assert permutation_p(ours, -ours) == pytest.approx(by_hand(ours, -ours))


def test_its_size_is_right_where_ops_have_effects():
    rng = np.random.default_rng(0)
    found = np.array([permutation_p(grid_of_effects(rng, 5), grid_of_effects(rng, 5)) for _ in range(600)])
    for level in (0.05, 0.25, 0.5):
        assert np.mean(found <= level) == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 600) + 1 / 120)


def test_it_finds_a_real_agreement():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        op = rng.standard_normal(6)
        found.append(permutation_p(grid_of_effects(rng, 6, op), grid_of_effects(rng, 6, op)) <= 0.05)
    assert np.mean(found) > 0.9


def test_many_ops_are_sampled_the_same_way_each_time():
    rng = np.random.default_rng(2)
    ours, theirs = rng.random((2, 9, 9))
    assert smallest(7) == smallest(9) == 1 / 5040
    assert permutation_p(ours, ours) == pytest.approx(1 / 5040)
    assert permutation_p(ours, theirs) == permutation_p(ours, theirs)


def test_sampled_permutations_agree_with_all_of_them(monkeypatch):
    rng = np.random.default_rng(3)
    ours, theirs = rng.random((2, 6, 6))
    exact = permutation_p(ours, theirs)
    monkeypatch.setattr(permutation, "MOST", 719)
    assert permutation_p(ours, theirs) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 719))


def test_cells_without_a_result_and_constant_grids():
    rng = np.random.default_rng(4)
    ours = grid_of_effects(rng, 6)
    theirs = ours.copy()
    theirs[0, 1] = ours[2, 2] = math.nan
    assert permutation_p(ours, theirs) < 0.01
    assert math.isnan(permutation_p(ours, np.ones((6, 6))))


def at(accuracies):
    return lambda trial: accuracies.get((trial.row, trial.column), 0.3)


@pytest.mark.parametrize(
    ("ops", "words"),
    [
        ("abc", ", p = 0.167 (one-sided, permuting ops; with 3 ops no p is below 0.167) over 9 cells"),
        ("abcd", " (95 %, resampling ops), p = 0.042 (one-sided, permuting ops) over 16 cells"),
    ],
)
def test_the_sentence_says_what_few_ops_cannot_show(tmp_path, ops, words):
    names = ["crop", "color", "blur", "sobel"][: len(ops)]
    rng = np.random.default_rng(5)
    accuracies = {(a, b): rng.random() for a in names for b in names}
    one, other = (read_sweep(sweep(tmp_path / name, names, 1, at(accuracies))).grid for name in "xy")
    assert words in str(compare(one, other, "y"))


def test_without_every_cell_by_plan_there_is_no_p(tmp_path):
    names = ["crop", "color", "blur", "sobel"]
    rng = np.random.default_rng(6)
    accuracies = {(a, b): rng.random() for a in names for b in names}
    whole = read_sweep(sweep(tmp_path / "whole", names, 1, at(accuracies)))
    lacking = read_sweep(sweep(tmp_path / "lacking", names, 1, at(accuracies), skip=["crop+color"]))
    assert compare(whole.grid, lacking.grid, "y").p < 0.1
    unplanned = whole.grid.cells | {("color", "crop"): Cell("color+crop")}  # --unordered leaves it out
    assert math.isnan(compare(whole.grid, replace(whole.grid, cells=unplanned), "y").p)
