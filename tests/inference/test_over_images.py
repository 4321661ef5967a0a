"""The covariance of accuracies over images: against the bootstrap, and intervals against a truth that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from ablate.inference.images_only import over_images_only
from ablate.inference.model import estimate
from ablate.inference.over_images import influence, influence_of, over_images

SIMULATED = 120


def accuracy(correct, label, balanced):
    classes = [label == k for k in np.unique(label)] if balanced else [label >= 0]
    return float(np.mean([correct[at].mean() for at in classes]))


def simulated(rng, cells=4, seeds=3, images=150, of_seed=0.05, noise=0.6, groups=0):
    """Correct predictions [cells, seeds, images] by latent scores, the images' groups, and the true accuracy of each.

    Hard images are hard for all cells (spread 1), some more for one cell than for others (0.5), and each encoder errs
    on its own (``noise``) and is better or worse as a whole (``of_seed``); both have one value per cell.
    """
    of_seed, noise = (np.broadcast_to(value, cells)[:, None, None] for value in (of_seed, noise))
    group = rng.integers(0, groups, images) if groups else np.arange(images)
    level, variance = np.linspace(0.6, 0.4, cells), 1.25 + (of_seed**2 + noise**2)[:, 0, 0]
    score = level[:, None, None] + rng.standard_normal(images) + 0.5 * rng.standard_normal((cells, 1, images))
    if groups:
        score = score + 0.7 * rng.standard_normal((cells, 1, groups))[..., group]
        variance = variance + 0.49
    score = (
        score + of_seed * rng.standard_normal((cells, seeds, 1)) + noise * rng.standard_normal((cells, seeds, images))
    )
    return score > 0, group if groups else None, ndtr(level / np.sqrt(variance))


def fitted(correct, label, group, balanced=False):
    values = {
        str(c): {s: accuracy(y, label, balanced) for s, y in enumerate(of_cell)} for c, of_cell in enumerate(correct)
    }
    adds = influence_of(label, group, balanced=balanced)
    parts = {str(c): {s: adds(y) for s, y in enumerate(of_cell)} for c, of_cell in enumerate(correct)}
    return values, over_images(parts, len(label))


@pytest.mark.parametrize(("balanced", "groups"), [(False, 0), (True, 0), (False, 40)])
def test_covariances_are_those_of_the_bootstrap(balanced, groups):
    rng = np.random.default_rng(3)
    correct, group, _ = simulated(rng, cells=2, images=400, groups=groups)
    label = rng.choice(3, 400, p=[0.6, 0.25, 0.15])
    _, found = fitted(correct, label, group, balanced)
    unit = np.arange(400) if group is None else np.unique(group, return_inverse=True)[1]
    weight = rng.multinomial(unit.max() + 1, np.full(unit.max() + 1, 1 / (unit.max() + 1)), 4000)[:, unit]
    classes = [label == k for k in range(3)] if balanced else [label >= 0]
    rates = [weight[:, at] @ correct.reshape(6, 400)[:, at].T / weight[:, at].sum(1, keepdims=True) for at in classes]
    covariance = np.cov(np.mean(rates, axis=0).T)  # of every cell with every seed, cell by cell
    blocks = covariance.reshape(2, 3, 2, 3)
    assert blocks.mean(axis=(1, 3)) == pytest.approx(found.whole, rel=0.1)
    apart = ~np.eye(3, dtype=bool)
    assert [[blocks[a, :, b][apart].mean() for b in (0, 1)] for a in (0, 1)] == pytest.approx(found.between, rel=0.12)


@pytest.mark.parametrize(
    ("of_seed", "noise", "groups"),
    [(0.05, 0.6, 0), ((0.05, 0.05, 0.15, 0.15), (0.4, 0.4, 0.9, 0.9), 0), (0.05, 0.6, 30)],
    ids=["equal", "unequal", "groups"],
)
def test_intervals_of_seeds_and_images_hold_the_true_difference(of_seed, noise, groups):
    rng = np.random.default_rng(11)
    held = dict.fromkeys(("seeds", "both", "nested"), 0)
    for _ in range(SIMULATED):
        correct, group, truth = simulated(rng, of_seed=of_seed, noise=noise, groups=groups)
        values, images = fitted(correct, np.zeros(correct.shape[2], dtype=int), group)
        seeds, both = estimate(values).difference("0", "3"), estimate(values, images=images).difference("0", "3")
        assert both.mean == seeds.mean
        for name, interval in (("seeds", seeds), ("both", both)):
            held[name] += interval.low <= truth[0] - truth[3] <= interval.high
        held["nested"] += both.low <= seeds.low <= seeds.high <= both.high
    assert held["nested"] == SIMULATED
    assert 0.92 <= held["both"] / SIMULATED <= 0.985
    assert held["seeds"] < held["both"]


def test_contenders_over_seeds_and_images_include_those_over_seeds():
    rng = np.random.default_rng(5)
    wider = 0
    for _ in range(12):
        correct, _, _ = simulated(rng, cells=6, images=100)
        values, images = fitted(correct, np.zeros(100, dtype=int), None)
        alone, both = estimate(values), estimate(values, images=images)
        assert set(alone.contenders) <= set(both.contenders)
        wider += len(both.contenders) > len(alone.contenders)
        assert sum(both.p_best.values()) == pytest.approx(1)
    assert wider > 2


@pytest.mark.parametrize("seeds", [2, 3])
def test_intervals_that_hold_at_once_are_at_most_those_of_independent_comparisons(seeds):
    rng = np.random.default_rng(6)
    contrasts = np.hstack([-np.ones((9, 1)), np.eye(9)])
    most = ndtri((1 + 0.95 ** (1 / 9)) / 2)  # Šidák's inequality
    for _ in range(40):  # few images, so the estimate between seeds is often no covariance
        correct, _, _ = simulated(rng, cells=10, seeds=seeds, images=30)
        _, images = fitted(correct, np.zeros(30, dtype=int), None)
        assert images.multiple() <= images.multiple(contrasts) <= 1.02 * most


def test_more_seeds_do_not_separate_what_the_images_cannot():
    correct, _, _ = simulated(np.random.default_rng(2), images=60)
    correct[1] = correct[0]
    correct[1, :, :2] = ~correct[1, :, :2]
    values, images = fitted(correct, np.zeros(60, dtype=int), None)
    assert estimate(values, images=images).seeds_to_separate("0", "1") is None


def test_images_only_compares_cells_of_one_seed():
    correct, _, _ = simulated(np.random.default_rng(4), seeds=1, images=500)
    values, images = fitted(correct, np.zeros(500, dtype=int), None)
    assert estimate(values, images=images) is None
    difference = over_images_only(values, images).difference("0", "3")
    apart = correct[0, 0].astype(float) - correct[3, 0]
    half = 1.9647 * apart.std(ddof=1) / math.sqrt(500)
    assert (difference.low, difference.high) == pytest.approx((apart.mean() - half, apart.mean() + half), abs=1e-6)
    assert "(95 %, images only, n = 1)" in str(difference)


def test_a_class_with_one_image_does_not_count_as_certain():
    correct, label = np.array([True, False, True, True]), np.array([0, 0, 0, 1])
    added = influence(correct, label, balanced=True)
    assert added[3] == pytest.approx((1 - (2 / 3 + 1) / 2) / 2)
