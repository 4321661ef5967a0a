"""Rounds of seeds: who is left, why it ends, and that the best is left in 95 % of sweeps over all rounds together."""

from __future__ import annotations

import numpy as np
import pytest

from ablate.config.sweep import FIRST_ROUND, LAST_ROUND
from ablate.inference.dunnett import TAIL, dunnett
from ablate.inference.rounds import SPENT, all_rounds, compare, next_round, tail
from benchmarks.rounds import Truth, race

FIVE_PERCENT = {100: 10, 150: 13}
"""The most errors in so many sweeps that are likely (P > 0.98) if a sweep errs in 5 %."""


def of(means, spread=0.0, seeds=3, has=None):
    """Accuracies by cell and seed; the noise of a cell alternates by ``spread``, in another pattern for each."""
    return {
        f"c{c}": {s: mean + spread * (-1) ** (s // (c + 1)) for s in range(seeds) if has is None or has(c, s)}
        for c, mean in enumerate(means)
    }


def ended(values, left=None, rounds=(3,), within=0.01, largest=20):
    return compare(values, left or values, rounds, within, largest)


def test_it_ends_when_one_is_left():
    found = ended(of([0.9, 0.5, 0.4], spread=0.001))
    assert (found.left, found.why) == ({"c0"}, "decided")


def test_it_ends_when_all_that_are_left_are_close_to_the_best_and_not_before():
    values = of([0.9, 0.9, 0.4], spread=0.001, seeds=8)
    close = ended(values, rounds=(3, 5, 8))
    assert (close.left, close.why) == ({"c0", "c1"}, "equal")
    assert 0 < close.farthest <= 0.01
    assert ended(values, rounds=(3, 5, 8), within=close.farthest / 2).why is None


def test_where_no_noise_was_seen_no_cell_is_dropped_and_only_equal_ones_end_it():
    for rounds, why in (((3,), None), (all_rounds(20), "largest")):
        found = ended(of([0.9, 0.5, 0.9], seeds=rounds[-1]), rounds=rounds)
        assert (found.left, found.why) == ({"c0", "c1", "c2"}, why)
    equal = ended(of([0.9, 0.9, 0.9]) | {"c3": {}})
    assert (equal.left, equal.why) == ({"c0", "c1", "c2", "c3"}, "equal")


def test_it_ends_with_the_largest_number_of_seeds():
    values = of([0.9, 0.9, 0.4], spread=0.05, seeds=20)
    assert ended(values, rounds=all_rounds(20)[:-1], largest=20).why is None
    assert ended(values, rounds=all_rounds(20), largest=20).why == "largest"


@pytest.mark.parametrize("values", [{}, {"c0": {0: 0.5, 1: 0.4}, "c1": {}}])
def test_with_fewer_than_two_results_there_is_nothing_to_compare(values):
    assert compare(values, {"c0", "c1"}, (3,), 0.01, 20).why == "alone"


def test_a_cell_that_was_dropped_does_not_come_back_and_drops_nobody():
    values = of([0.5, 0.49, 0.9], spread=0.02, seeds=5)
    assert ended(values, left={"c0", "c1"}, rounds=(3, 5)).left == {"c0", "c1"}


def test_a_cell_without_results_stays_and_does_not_keep_the_others_from_a_verdict():
    values = of([0.9, 0.5, 0.4], spread=0.001) | {"c3": {}}
    found = ended(values)
    assert (found.left, found.why) == ({"c0", "c3"}, "decided")


def test_the_order_of_cells_and_seeds_has_no_say():
    rng = np.random.default_rng(0)
    y = np.linspace(0.5, 0.6, 8)[:, None] + 0.02 * rng.standard_normal((8, 5))
    values = {f"c{c}": dict(enumerate(row.tolist())) for c, row in enumerate(y)}
    turned = {label: dict(reversed(seeds.items())) for label, seeds in reversed(values.items())}
    one, other = ended(values, rounds=(3, 5)), ended(turned, rounds=(3, 5))
    assert (one.left, one.why) == (other.left, other.why)
    assert one.farthest == pytest.approx(other.farthest)


@pytest.mark.parametrize("largest", [3, 4, 5, 6, 12, 20, 27, 100])
def test_all_rounds_together_spend_no_more_than_what_is_held(largest):
    rounds = all_rounds(largest)
    assert (rounds[0], rounds[-1]) == (FIRST_ROUND, largest)
    assert list(rounds) == sorted(set(rounds))
    spent = [tail(rounds[: n + 1]) for n in range(len(rounds))]
    assert min(spent) > 0
    assert sum(spent) <= SPENT + 1e-12
    assert (sum(spent) == pytest.approx(SPENT)) == (largest == LAST_ROUND)


def test_a_sweep_that_began_with_more_fixed_seeds_than_rounds_have_spends_no_more():
    assert tail((200,)) == pytest.approx(SPENT)


def test_a_larger_number_later_goes_on_where_the_smaller_one_ended():
    rounds = list(all_rounds(20))
    while rounds[-1] < 50:
        rounds.append(next_round(rounds[-1], 50))
    assert rounds[: len(all_rounds(20))] == list(all_rounds(20))
    assert sum(tail(rounds[: n + 1]) for n in range(len(rounds))) < SPENT


@pytest.mark.parametrize(("k", "df", "alpha"), [(3, 2, 0.005), (9, 4, 0.001), (48, 96, 0.0005), (5, 1, 0.01)])
def test_dunnetts_value_in_the_far_tail(k, df, alpha):
    """Against draws: Z_0 and S are drawn, the probability of the others given them is exact."""
    from scipy.special import ndtr

    rng = np.random.default_rng(0)
    z, s = rng.standard_normal(400_000), np.sqrt(rng.chisquare(df, 400_000) / df)
    beyond = 1 - ndtr(dunnett(k, df, alpha) * np.sqrt(2) * s + z) ** k
    assert beyond.mean() == pytest.approx(alpha, abs=4 * beyond.std() / np.sqrt(len(z)))


LADDER = -0.2 * np.arange(12)
EQUAL = np.zeros(5)
CASES = {
    "equal": Truth(EQUAL, np.ones(5), {}),
    "ladder": Truth(LADDER, np.ones(12), {}),
    "the best is the noisiest": Truth(LADDER, np.geomspace(4, 0.5, 12), {}),
    "equal, one alone is noisy": Truth(EQUAL, np.array([5.0, 1, 1, 1, 1]), {}),
    "the second fails always": Truth(LADDER, np.ones(12), {1: 1.0}),
    "the best fails in 3 of 10": Truth(LADDER, np.ones(12), {0: 0.3}),
}


def errors(truth, sweeps, largest):
    races = [race(truth.draw(np.random.default_rng([7, number]), largest), largest) for number in range(sweeps)]
    return sum(not truth.is_right(found.left, found.why == "equal") for found in races), races


@pytest.mark.parametrize("name", CASES)
def test_the_best_is_left_over_all_rounds(name):
    wrong, races = errors(CASES[name], 100, 20)
    assert wrong <= FIVE_PERCENT[100]
    if "equal" not in name:
        assert np.mean([len(found.left) for found in races]) < 11


def test_a_bound_that_ignores_the_rounds_would_not_hold(monkeypatch):
    """So the sweeps above can fail: with 5 % in every round, the best of equal cells is lost too often."""
    monkeypatch.setattr("ablate.inference.rounds.tail", lambda rounds: TAIL)
    assert errors(CASES["equal, one alone is noisy"], 150, 20)[0] > FIVE_PERCENT[150]


def test_far_fewer_trials_than_with_fixed_seeds_where_means_differ():
    means = np.concatenate([[0.0, -0.6], np.linspace(-5, -40, 23)])
    _, races = errors(Truth(means, np.ones(25), {}), 20, 20)
    assert max(found.trials for found in races) < 0.45 * 20 * 25
