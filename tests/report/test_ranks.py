"""Rank correlations against SciPy, and the ceiling against grids whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ablate.report.comparison import compare
from ablate.report.grid import Cell, Grid
from ablate.report.ranks import interval, reliability, spearman


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


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, inside = np.random.default_rng(3), 0
    covariance = [[1, 0.6], [0.6, 1]]
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's of a normal distribution with Pearson's 0.6
    for _ in range(40):
        x, y = rng.multivariate_normal([0, 0], covariance, size=49).T
        low, high = interval(x.tolist(), y.tolist())
        inside += low <= truth <= high
    assert inside >= 33


def test_a_comparison_says_interval_and_ceiling():
    def grid(values):
        ops = ("a", "b")
        places = [(row, column) for row in ops for column in ops]
        return Grid(ops, dict(zip(places, cells(values), strict=True)), {})

    one = grid([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])
    both = compare(one, grid([[0.2], [0.1], [0.3], [0.4]]), "the other")
    assert both.ceiling == pytest.approx(1)
    assert str(both).startswith("Spearman rank correlation with the other: +0.80 [")
    assert str(both).endswith("over 4 cells; the noise of its seeds leaves room for 1.00.")
    back = compare(grid([[0.2], [0.1], [0.3], [0.4]]), one, "the other")
    assert math.isnan(back.ceiling)
    assert str(back).endswith("over 4 cells.")


def test_what_does_not_rank_has_no_interval():
    assert all(math.isnan(bound) for bound in interval([1.0, 2.0, 3.0, 4.0], [0.5] * 4))
