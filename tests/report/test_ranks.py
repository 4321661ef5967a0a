"""Rank correlations against SciPy, and the ceiling against grids whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.comparison import compare
from ablate.report.stats.ranks import _weighted, correlation_in_words, interval, ops_of, reliability, spearman


@pytest.mark.parametrize("seed", range(5))
def test_spearman_against_scipy(seed):
    x, y = np.random.default_rng(seed).integers(0, 12, (2, 30))  # with ties
    assert spearman(x.tolist(), y.tolist()) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))


def cells(values):
    """One cell per row, one seed per column."""
    return [Cell(f"c{i}", {"linear_top1": dict(enumerate(row))}, planned=len(row)) for i, row in enumerate(values)]


def test_two_seeds_are_two_halves():
    values = np.random.default_rng(0).normal(size=(12, 2)) + np.arange(12)[:, None] / 4
    r = stats.spearmanr(values[:, 0], values[:, 1]).statistic
    assert reliability(cells(values.tolist())) == pytest.approx(2 * r / (1 + r))


@pytest.mark.parametrize(("noise", "seeds"), [(0.5, 3), (1.5, 3), (1.5, 5)])
def test_its_root_is_how_well_means_follow_the_truth(noise, seeds):
    rng = np.random.default_rng(1)
    estimated, real = [], []
    for _ in range(60):
        truth = rng.normal(size=49)
        values = truth[:, None] + noise * rng.normal(size=(49, seeds))
        estimated.append(math.sqrt(reliability(cells(values.tolist()))))
        real.append(spearman(truth.tolist(), values.mean(axis=1).tolist()))
    assert np.mean(estimated) == pytest.approx(np.mean(real), abs=0.02)


def test_noise_alone_and_too_little_to_tell():
    rng = np.random.default_rng(2)
    assert np.mean([reliability(cells(rng.normal(size=(49, 3)).tolist())) for _ in range(20)]) < 0.2
    assert reliability(cells([[1, 4], [2, 3], [3, 2], [4, 1]])) == 0
    assert math.isnan(reliability(cells([[1], [2], [3], [4]])))
    assert math.isnan(reliability(cells([[1, 2], [3, 4], [5, 6]])))
    assert math.isnan(reliability(cells([[1, 2], [1, 3], [1, 4], [1, 5]])))
    assert math.isnan(reliability([]))


def places(k):
    return [(str(i), str(j)) for i in range(k) for j in range(k)]


def unrelated(rng, k=7):
    """A grid's values with effects of ops, as the paper's and ours have them, symmetric but for some noise."""
    op, noise = rng.normal(size=k), rng.normal(size=(k, k))
    return (op[:, None] + op + 0.3 * (noise + noise.T) + 0.1 * rng.normal(size=(k, k))).ravel().tolist()


def test_two_unrelated_grids_are_called_related_no_more_often_than_is_said():
    """With cells resampled in place of ops the interval excludes 0 in about half of these."""
    rng, excluded = np.random.default_rng(3), 0
    for _ in range(100):
        low, high = interval(unrelated(rng), unrelated(rng), places(7))
        excluded += low > 0 or high < 0
    assert excluded <= 10


def test_two_grids_of_the_same_effects_are_called_related():
    rng = np.random.default_rng(4)
    one = unrelated(rng)
    low, high = interval(one, (np.array(one) + 0.3 * rng.normal(size=49)).tolist(), places(7))
    assert 0.5 < low < high <= 1


def test_a_resample_counts_a_cell_as_often_as_its_ops_are_drawn_together():
    x, y = np.random.default_rng(5).integers(0, 6, (2, 16)).astype(float)
    times = np.array([2, 0, 1, 1])
    weights = np.array([[times[int(a)] * times[int(b)] for a, b in places(4)]])
    drawn = [np.repeat(values, weights[0]) for values in (x, y)]
    assert _weighted(x, y, weights)[0] == pytest.approx(stats.spearmanr(*drawn).statistic)
    assert np.isnan(_weighted(x, y, 0 * weights)[0])


def test_few_ops_have_no_interval_and_the_text_says_so():
    x, y = np.random.default_rng(6).normal(size=(2, 9)).tolist()
    assert all(math.isnan(bound) for bound in interval(x, y, places(3)))
    assert correlation_in_words(x, y, places(3)).endswith(" (3 ops: no interval)")
    assert ops_of(Cell("a", ops=("a",))) == ("a", "a")
    assert ops_of(Cell("b+c", ops=("b", "c"))) == ("b", "c")
    assert ops_of(Cell("mine")) == ("mine", "mine")


@pytest.mark.parametrize("number", [4, 5, 8])
def test_a_recipe_without_each_of_its_ops_has_no_interval(number):
    """Nearly every draw of ops leaves one cell at most, so that the interval would be a point."""
    whole = tuple(map(str, range(number)))
    cells = [whole, *(tuple(op for op in whole if op != gone) for gone in whole)]
    x, y = np.random.default_rng(7).normal(size=(2, len(cells))).tolist()
    assert all(math.isnan(bound) for bound in interval(x, y, cells))
    assert correlation_in_words(x, y, cells).endswith(" (mostly shared ops: no interval)")


def test_what_is_left_of_a_pruned_grid_is_not_ranked():
    ops = tuple("abcd")
    known = iter(np.random.default_rng(7).normal(size=(16, 2)).tolist())
    one = {(a, b): Cell(a + b, {"linear_top1": dict(enumerate(next(known)))}, planned=2) for a in ops for b in ops}
    other = {place: Cell("x", planned=2, pruned=2) if "d" in place else cell for place, cell in one.items()}
    assert compare(Grid(ops, one, {}), Grid(ops, one, {}), "the other").ranks
    both = compare(Grid(ops, other, {}), Grid(ops, one, {}), "the other")
    assert str(both) == "the other: 9 cells in common, no rank correlation, since 7 cells were not trained to the end."


def test_a_comparison_says_interval_and_ceiling():
    def grid(values):
        ops = ("a", "b")
        places = [(row, column) for row in ops for column in ops]
        return Grid(ops, dict(zip(places, cells(values), strict=True)), {})

    one = grid([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])
    both = compare(one, grid([[0.2], [0.1], [0.3], [0.4]]), "the other")
    assert both.ceiling == pytest.approx(1)
    assert str(both).startswith("Spearman rank correlation with the other: +0.80 (2 ops: no interval), p = 0.500 (one")
    assert str(both).endswith(
        "over 4 cells; with the noise of this sweep, two grids with the same true ranks would reach 1.00."
    )
    torn = compare(grid([[0.1, 0.4], [0.2, 0.36], [0.31, 0.2], [0.4, 0.1]]), one, "the other")
    assert str(torn).endswith("It says little: the seeds of this sweep disagree on the ranks of the cells.")
    back = compare(grid([[0.2], [0.1], [0.3], [0.4]]), one, "the other")
    assert math.isnan(back.ceiling)
    assert str(back).endswith("over 4 cells.")


def test_what_does_not_rank_has_no_interval():
    assert all(math.isnan(bound) for bound in interval(list(range(16)), [0.5] * 16, places(4)))
