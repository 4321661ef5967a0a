"""The two-way model against its definition: a dense least squares, simulated coverage, published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ablate.report.grid import Cell
from ablate.report.model import dunnett, fit


def cells_of(y, has=None):
    """Cells c0, c1, ... of the array y [cells, seeds], without the values where ``has`` is False."""
    has = np.ones_like(y, dtype=bool) if has is None else has
    seeds = [{s: float(v) for s, v in enumerate(row) if has[c, s]} for c, row in enumerate(y)]
    return [Cell(f"c{c}", {"linear_top1": known}, planned=y.shape[1]) for c, known in enumerate(seeds)]


def simulated(seed, means, seeds=4, noise=0.02, of_seed=0.1):
    rng = np.random.default_rng(seed)
    return (
        np.array(means)[:, None]
        + of_seed * rng.standard_normal(seeds)
        + noise * rng.standard_normal((len(means), seeds))
    )


@pytest.mark.parametrize("holes", [0, 5])
def test_against_a_dense_least_squares(holes):
    y = simulated(0, np.linspace(0, 1, 6), seeds=5)
    has = np.ones_like(y, dtype=bool)
    has.flat[np.random.default_rng(1).choice(y.size, holes, replace=False)] = False
    model = fit(cells_of(y, has))
    c, s = np.nonzero(has)
    design = np.hstack([np.eye(6)[c], np.eye(5)[s][:, 1:]])
    solution, rss, *_ = np.linalg.lstsq(design, y[c, s], rcond=None)
    assert model.df == len(c) - design.shape[1]
    assert model.sigma == pytest.approx(math.sqrt(rss[0] / model.df))
    inverse = np.linalg.inv(design.T @ design)[:6, :6]
    for a, b in [(0, 1), (2, 5)]:
        difference = model.difference(f"c{a}", f"c{b}")
        assert difference.mean == pytest.approx(solution[a] - solution[b])
        se = model.sigma * math.sqrt(inverse[a, a] + inverse[b, b] - 2 * inverse[a, b])
        assert difference.high - difference.mean == pytest.approx(stats.t.ppf(0.975, model.df) * se)


def test_what_all_cells_of_a_seed_share_is_not_noise():
    y = simulated(2, [0.2, 0.5, 0.9])
    shifted = y + np.array([0.0, 0.3, -0.2, 0.1])
    one, other = fit(cells_of(y)), fit(cells_of(shifted))
    assert other.sigma == pytest.approx(one.sigma)
    assert other.half_width("c0") == pytest.approx(one.half_width("c0"))


def test_no_model_without_shared_seeds_or_with_one():
    y = simulated(3, [0.2, 0.5, 0.9])
    assert fit(cells_of(y[:, :1])) is None
    assert fit(cells_of(y[:1])) is None
    assert fit([]) is None
    apart = np.array([[True, True, False, False], [False, False, True, True], [False, False, True, True]])
    assert fit(cells_of(y, apart)) is None


@pytest.mark.parametrize(("k", "df"), [(1, 10), (3, 5), (9, 20), (2, 3)])
def test_dunnetts_value_against_scipys_multivariate_t(k, df):
    correlation = 0.5 * (np.eye(k) + 1)
    inside = stats.multivariate_t(shape=correlation, df=df).cdf(np.full(k, dunnett(k, df)), random_state=0)
    assert inside == pytest.approx(0.95, abs=5e-4)


def test_the_best_cell_is_among_the_contenders_in_95_percent():
    hits = sizes = 0
    for seed in range(400):
        contenders = fit(cells_of(simulated(seed, [0.5, 0.5, 0.5, 0.5, 0.5, 0.3]))).contenders
        hits += "c0" in contenders  # one of five that are equally good: Hsu's worst case is every other equal to it
        sizes += "c5" in contenders
    assert 0.93 <= hits / 400 <= 0.99
    assert sizes == 0


def test_contenders_are_the_best_first_and_alone_when_noise_is_small():
    assert fit(cells_of(simulated(4, [0.2, 0.9, 0.5], noise=0.001))).contenders == ("c1",)
    model = fit(cells_of(simulated(5, [0.50, 0.52, 0.51], noise=0.1)))
    assert set(model.contenders) == {"c0", "c1", "c2"}
    means = [model.means[model.place[label]] for label in model.contenders]
    assert means == sorted(means, reverse=True)


def test_equal_values_are_all_contenders():
    assert fit(cells_of(np.full((3, 2), 0.5))).contenders == ("c0", "c1", "c2")


def test_spread_that_grows_with_accuracy_is_noticed():
    rng = np.random.default_rng(6)
    means = np.linspace(0.1, 0.9, 30)
    even = means[:, None] + 0.02 * rng.standard_normal((30, 5))
    uneven = means[:, None] + 0.1 * means[:, None] ** 2 * rng.standard_normal((30, 5))
    assert fit(cells_of(even)).spread_p > 0.05
    assert fit(cells_of(uneven)).spread_p < 0.001


def test_the_seeds_that_separate_two_cells_do_so_in_four_of_five():
    means = [0.50, 0.53, 0.2, 0.9]
    model = fit(cells_of(simulated(7, means, seeds=40, noise=0.03)))
    needed = model.seeds_to_separate(0.03)
    found = 0
    for seed in range(300):
        difference = fit(cells_of(simulated(seed, means, seeds=needed, noise=0.03))).difference("c1", "c0")
        found += difference.low > 0
    assert 0.72 <= found / 300 <= 0.93
    assert model.seeds_to_separate(0.0) is None
