"""McNemar's test, agreement and kappa of two classifications, against scipy's and scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from ablate.inference.two_classifiers import agreement, counts, kappa


def test_counts_and_mcnemar_are_the_exact_binomial_test():
    rng = np.random.default_rng(0)
    first, second = rng.random(300) < 0.7, rng.random(300) < 0.6
    found = counts(first, second)
    assert (found.both, found.neither) == (int((first & second).sum()), int((~first & ~second).sum()))
    assert found.first - found.second == first.sum() - second.sum()
    assert found.both + found.first + found.second + found.neither == 300
    assert found.p == pytest.approx(binomtest(found.first, found.first + found.second).pvalue)


def test_mcnemar_is_the_permutation_test_that_exchanges_the_predictions_of_an_image():
    rng = np.random.default_rng(1)
    first, second = rng.random(60) < 0.7, rng.random(60) < 0.5
    apart = first.astype(int) - second
    exchanged = (rng.choice([-1, 1], (20_000, 60)) * apart).sum(axis=1)
    assert counts(first, second).p == pytest.approx(np.mean(np.abs(exchanged) >= abs(apart.sum())), abs=0.01)


def test_mcnemar_of_equal_numbers_is_one():
    right, wrong = np.array([True, False]), np.array([False, True])
    assert counts(right, wrong).p == counts(right, right).p == 1.0


@pytest.mark.parametrize("classes", [2, 10])
def test_kappa_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    first = rng.integers(0, classes, 200).astype(np.uint8)
    second = np.where(rng.random(200) < 0.6, first, rng.integers(0, classes, 200)).astype(np.uint8)
    assert kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))
    assert agreement(first, second) == pytest.approx((first == second).mean())


def test_kappa_of_one_class_is_unknown():
    same = np.zeros(5, dtype=np.uint8)
    assert agreement(same, same) == 1.0
    assert math.isnan(kappa(same, same))
    assert kappa(np.array([0, 1]), np.array([0, 1])) == 1.0
