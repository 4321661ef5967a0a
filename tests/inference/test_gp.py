"""The Gaussian process over compositions: kernel by the definition, beliefs by dense algebra, calibration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from ablate.inference.gp import FLOOR, MEDIANS, _Model, _Trials, believe
from ablate.inference.improvement import chance_of_better, next_batch
from ablate.inference.kernel import PARTS, Compositions
from tests.support.compositions import of_names, spec_of

PAIRS = [*((op,) for op in "abcdefg"), *itertools.permutations("abcdefg", 2)]
WEIGHTS = [MEDIANS[name] for name in PARTS]


def strengths(rng, number, longest=3):
    """Compositions of ops that have a strength each, drawn at random; some repeat an op."""
    drawn = [rng.choice(list("abc"), rng.integers(1, longest + 1)) for _ in range(number)]
    return [[spec_of(op, strength=float(rng.integers(1, 5)) / 4) for op in ops] for ops in drawn]


def by_definition(one, other, scale):
    """The parts for compositions of different ops, token by token."""

    def alike(a, b):
        span = 0.75  # strengths are 0.25 to 1
        gap = (a.params["strength"] - b.params["strength"]) / span
        return (a.name == b.name) * np.exp(-(gap**2) / (2 * scale**2))

    pairs = [list(itertools.combinations(ops, 2)) for ops in (one, other)]
    ordered = sum(alike(a, c) * alike(b, d) for a, b in pairs[0] for c, d in pairs[1])
    reversed_ = sum(alike(a, d) * alike(b, c) for a, b in pairs[0] for c, d in pairs[1])
    same = float(np.prod([alike(a, b) for a, b in zip(one, other, strict=True)])) if len(one) == len(other) else 0.0
    return [
        sum(alike(a, b) for a in one for b in other),
        alike(one[0], other[0]),
        alike(one[-1], other[-1]),
        ordered + reversed_,
        ordered,
        same,
        (len(one) - 1) * (len(other) - 1),
    ]


def test_the_parts_of_the_kernel_follow_their_definition():
    rng = np.random.default_rng(0)
    several = [ops for ops in strengths(rng, 80) if len({op.name for op in ops}) == len(ops)]
    found = Compositions(several).kernels(0.7)
    for i, j in itertools.product(range(len(several)), repeat=2):
        np.testing.assert_allclose(found[:, i, j], by_definition(several[i], several[j], 0.7), atol=1e-12)


def test_every_part_is_a_covariance_even_if_ops_are_repeated():
    several = strengths(np.random.default_rng(1), 60, longest=4)
    assert any(len({op.name for op in ops}) < len(ops) for ops in several)
    for part in Compositions(several).kernels(1.0):
        assert np.linalg.eigvalsh(part).min() > -1e-9


def test_both_orders_are_near_and_what_is_shared_counts():
    ab, ba, ac, cd = np.tensordot(WEIGHTS, Compositions(of_names("ab", "ba", "ac", "cd")).kernels(1.0), 1)[0]
    assert ab > ba > ac > cd


def test_parameters_of_other_kinds_are_alike_only_where_they_are_equal():
    kinds = [[spec_of("a", mode=mode, area=[0.1, top])] for mode, top in (("x", 1.0), ("y", 1.0), ("x", 0.5))]
    op = Compositions(kinds).kernels(1.0)[0]
    assert op[0, 0] == 1
    assert op[0, 1] == op[0, 2] == pytest.approx(np.exp(-0.5))
    assert not Compositions(of_names("ab", "ba")).varies
    assert Compositions(kinds).varies


def example(rng, levels=2):
    """``[levels][cells]`` values by seed, with holes: of 14 cells, 9 are measured at level 0 and 12 at the others."""
    cells = of_names(*("".join(ops) for ops in PAIRS[:14]))
    truth = rng.multivariate_normal(np.zeros(14), np.tensordot(WEIGHTS, Compositions(cells).kernels(1.0), 1))
    seeds = rng.normal(0, 0.3, 3)
    final = [
        {s: 0.6 + 0.1 * (truth[c] + seeds[s] + rng.normal(0, 0.2)) for s in range(3) if (c + s) % 5} if c < 9 else {}
        for c in range(14)
    ]
    rungs = [
        [{0: 0.3 + 0.05 * (truth[c] + rng.normal(0, 0.3))} if c < 12 else {} for c in range(14)]
        for _ in range(levels - 1)
    ]
    return Compositions(cells), [final, *rungs]


def dense(model, h, flat=1e5):
    """The covariance of (observations, level 0 of all cells), entry by entry; means have the variance ``flat``."""
    t, kernels = model.trials, model.kernels
    used = sorted(set(t.seed[t.level == 0]))
    entries = [("trial", c, s, lev, r) for c, s, lev, r in zip(t.cell, t.seed, t.level, t.ratio, strict=True)]
    entries += [("cell", c, None, 0, None) for c in range(kernels.shape[1])]

    def covariance(one, other):
        (kind, c, s, lev, r), (_, c2, s2, lev2, _) = one, other
        value = sum(w * k[c, c2] for w, k in zip(h.weights, kernels, strict=True)) * (1 + h.level * (lev == lev2))
        if lev == lev2:
            sides = [dict.fromkeys(used, 1 / len(used)) if seed is None else {seed: 1.0} for seed in (s, s2)]
            value += h.seed * sum(share * sides[1].get(seed, 0.0) for seed, share in sides[0].items())
            value += flat
        if one is other and kind == "trial":
            value += h.noise * r + FLOOR
        return value

    return np.array([[covariance(one, other) for other in entries] for one in entries])


@pytest.mark.parametrize("levels", [1, 2])
def test_beliefs_are_those_of_dense_algebra(levels):
    compositions, values = example(np.random.default_rng(3), levels)
    model = _Model(compositions.kernels(1.0), _Trials.of(values))
    h = model.read(model.prior + np.random.default_rng(4).normal(0, 0.3, len(model.prior)))
    found, whole = model.beliefs(h), dense(model, h)
    n = len(model.value)
    gain = np.linalg.solve(whole[:n, :n], whole[:n, n:]).T
    scaled = model.value / h.sizes[model.trials.level]
    unit = model.trials.unit
    np.testing.assert_allclose(found.mean, gain @ scaled * unit, rtol=1e-4)
    expected = (whole[n:, n:] - gain @ whole[:n, n:]) * unit**2
    np.testing.assert_allclose(found.covariance, expected, atol=1e-4 * unit**2)


@pytest.mark.parametrize("levels", [1, 2])
def test_the_restricted_likelihood_is_that_of_flat_means_and_its_gradient_is_right(levels):
    compositions, values = example(np.random.default_rng(5), levels)
    model = _Model(compositions.kernels(1.0), _Trials.of(values))
    rng = np.random.default_rng(6)
    thetas = [model.prior + rng.normal(0, 0.3, len(model.prior)) for _ in range(2)]

    def reference(theta):
        h, n = model.read(theta), len(model.value)
        sizes = h.sizes[model.trials.level]
        # A flat mean of a level is flat in the level's own units, whatever its size.
        flat = 1e5 / np.outer(sizes, sizes) * model.same_level
        covariance = (dense(model, h, flat=0.0)[:n, :n] + flat) * np.outer(sizes, sizes)
        off = (theta - model.prior) / model.sure
        return 0.5 * off @ off - multivariate_normal(np.zeros(n), covariance).logpdf(model.value)

    (a, slope), (b, _) = map(model.loss, thetas)
    assert a - b == pytest.approx(reference(thetas[0]) - reference(thetas[1]), abs=1e-3)
    np.testing.assert_allclose(slope, approx_fprime(thetas[0], lambda x: model.loss(x)[0], 1e-6), atol=1e-3)


def test_repeated_seeds_say_how_loud_the_noise_is_once():
    """The residuals of the seeds have the information df / 2 on the logarithm of a variance (chi squared)."""
    rng = np.random.default_rng(7)
    cells, seeds = PAIRS[7:31], 4
    values = [dict(enumerate(rng.normal(mean, 0.02, seeds))) for mean in rng.normal(0.5, 0.1, len(cells))]
    model = _Model(Compositions(of_names(*map("".join, cells))).kernels(1.0), _Trials.of([values]))
    mode, _ = model.mode()
    step = 1e-3 * np.eye(len(mode))[len(PARTS) + 1]
    slopes = [model.loss(mode + side * step)[1][len(PARTS) + 1] for side in (1, -1)]
    df = (len(cells) - 1) * (seeds - 1)
    assert (slopes[0] - slopes[1]) / 2e-3 == pytest.approx(df / 2, rel=0.2)
    assert np.exp(mode[len(PARTS) + 1]) * model.trials.unit**2 == pytest.approx(0.02**2, rel=0.4)


def test_a_loud_cell_says_less():
    rng = np.random.default_rng(0)
    loud = [dict(enumerate(0.5 + rng.normal(0, sd, 4))) for sd in [0.01] * 12 + [0.2]]
    trials = _Trials.of([loud])
    assert trials.ratio[-1] > 3 * trials.ratio[0]
    assert _Trials.of([[{0: 0.5}, {0: 0.6}]]).ratio.tolist() == [1.0, 1.0]


def test_a_mean_over_seeds_at_a_rung_is_less_noisy_than_a_trial():
    final, rung = [{0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5}, {}], [{0: 0.3}, {0: 0.2}]
    assert _Trials.of([final, rung]).ratio.tolist() == [1.0] * 4 + [0.25] * 2


def test_a_seed_that_is_worse_for_all_is_no_mark_against_the_cells_that_were_given_it():
    rng = np.random.default_rng(8)
    truth = rng.normal(0.6, 0.05, 49)
    shift = {0: 0.0, 1: 0.0, 2: -0.2}
    given = [(0, 1, 2) if c % 2 else (0, 1) for c in range(49)]
    values = [{s: truth[c] + shift[s] + rng.normal(0, 0.003) for s in given[c]} for c in range(49)]
    compositions = Compositions(of_names(*("".join(ops) for ops in PAIRS)))
    off = believe(compositions, [values]).mean - truth
    odd = np.arange(49) % 2 == 1
    assert abs(off[odd].mean() - off[~odd].mean()) < 0.01


def test_intervals_hold_as_many_new_means_as_they_say():
    """Truths from the kernel, with three seeds: of 90 % intervals of what was left out, 85 to 95 % hold."""
    compositions = Compositions(of_names(*("".join(ops) for ops in PAIRS)))
    kernel = np.tensordot(WEIGHTS, compositions.kernels(1.0), 1)
    held = []
    for number in range(12):
        rng = np.random.default_rng(number)
        truth = 0.5 + 0.1 * rng.multivariate_normal(np.zeros(49), kernel)
        values = truth[:, None] + rng.normal(0, 0.02, 3)[None] + rng.normal(0, 0.02, (49, 3))
        known = rng.permutation(49)[:24]
        beliefs = believe(compositions, [[dict(enumerate(row)) if c in known else {} for c, row in enumerate(values)]])
        out = np.setdiff1d(np.arange(49), known)
        held += list(np.abs(values.mean(axis=1) - beliefs.mean)[out] < 1.645 * beliefs.spread[out])
    assert 0.85 <= np.mean(held) <= 0.95


def test_a_second_level_says_where_the_first_was_not_measured():
    rng = np.random.default_rng(9)
    compositions = Compositions(of_names(*("".join(ops) for ops in PAIRS)))
    truth = rng.permutation(np.linspace(0.2, 0.8, 49))  # nothing follows from the ops
    few = [{0: float(truth[c])} if c < 8 else {} for c in range(49)]
    rung = [{0: float(0.1 + truth[c] / 2 + rng.normal(0, 0.005))} if c < 40 else {} for c in range(49)]
    alone, both = (believe(compositions, levels).mean for levels in ([few], [few, rung]))
    assert np.corrcoef(alone[8:40], truth[8:40])[0, 1] < 0.5
    assert np.corrcoef(both[8:40], truth[8:40])[0, 1] > 0.9


def beliefs_of_some(known):
    rng = np.random.default_rng(10)
    truth = 0.5 + 0.02 * rng.permutation(49) / 48 + np.array([0.3 * (set("ab") <= set(ops)) for ops in PAIRS])
    values = [{0: float(truth[c])} if c in known else {} for c in range(49)]
    return believe(Compositions(of_names(*("".join(ops) for ops in PAIRS))), [values])


def test_a_batch_is_new_and_begins_with_what_is_near_the_best():
    ab, ba = PAIRS.index(("a", "b")), PAIRS.index(("b", "a"))
    known = [ab, 0, 1, 20, 30, 40]
    beliefs = beliefs_of_some(known)
    finished = np.isin(np.arange(49), known)
    open_ = ~finished
    open_[5] = False  # it has failed
    batch = next_batch(beliefs, finished, open_, 4)
    assert batch[0] == ba
    assert len(set(batch)) == 4
    assert not {5, *known} & set(batch)
    assert batch == next_batch(beliefs, finished, open_, 4)
    assert sorted(next_batch(beliefs, finished, open_, 99)) == np.flatnonzero(open_).tolist()


def test_the_chance_of_a_better_one_falls_with_what_is_known_and_with_what_counts_as_better():
    few, many = [0, 1, 20, 30, 40], range(45)
    chances = []
    for known in (few, many):
        finished = np.isin(np.arange(49), known)
        chances.append(chance_of_better(beliefs_of_some(known), finished, ~finished, 0.01))
    assert chances[0] > chances[1]
    finished = np.isin(np.arange(49), few)
    assert chance_of_better(beliefs_of_some(few), finished, ~finished, 0.1) < chances[0]
    assert chance_of_better(beliefs_of_some(few), finished, np.zeros(49, dtype=bool), 0.01) == 0


def test_draws_have_the_beliefs_mean_and_covariance():
    beliefs = beliefs_of_some([0, 1, 20, 30, 40])
    drawn = beliefs.draws
    error = beliefs.spread.max() / np.sqrt(len(drawn))
    np.testing.assert_allclose(drawn.mean(axis=0), beliefs.mean, atol=5 * error)
    np.testing.assert_allclose(np.cov(drawn.T), beliefs.covariance, atol=0.2 * beliefs.covariance.max())


def test_the_means_of_other_sweeps_are_standardised_parts_of_the_kernel():
    means = {"a": 0.2, "b": 0.6, "a+b": 0.4, "elsewhere": 9.0}
    compositions = Compositions(of_names("a", "b", "ab", "ba"), [means, {"a": 0.5, "b": 0.5}])
    known = np.array([-1.0, 1.0, 0.0, 0.0]) * np.sqrt(1.5)
    np.testing.assert_allclose(compositions.known, [known, np.zeros(4)], atol=1e-12)
    found = compositions.kernels(1.0)
    assert len(found) == len(PARTS) + 1
    np.testing.assert_allclose(found[-1], np.outer(known, known), atol=1e-12)


def test_another_sweep_helps_if_it_is_alike_and_hardly_harms_if_it_misleads():
    """The mean absolute error for the cells that were not measured, over made-up grids in which ops say little."""
    errors = {"nothing": [], "alike": [], "misleading": []}
    for number in range(6):
        rng = np.random.default_rng(number)
        truth = 0.5 + 0.1 * rng.standard_normal(len(PAIRS))
        known = rng.permutation(len(PAIRS))[:16]
        values = [{0: truth[i]} if i in known else {} for i in range(len(PAIRS))]
        left = [i for i in range(len(PAIRS)) if i not in known]
        names = ["+".join(ops) for ops in PAIRS]
        alike = dict(zip(names, 0.3 + 0.4 * truth + 0.01 * rng.standard_normal(len(PAIRS)), strict=True))
        others = {
            "nothing": [],
            "alike": [alike],
            "misleading": [dict(zip(names, rng.permutation(truth), strict=True))],
        }
        for name, means in others.items():
            beliefs = believe(Compositions(of_names(*PAIRS), means), [values])
            errors[name].append(np.abs(beliefs.mean - truth)[left].mean())
    mean = {name: np.mean(several) for name, several in errors.items()}
    assert mean["alike"] < 0.5 * mean["nothing"]
    assert mean["misleading"] < 1.15 * mean["nothing"]


def test_the_gradient_of_the_loss_holds_with_another_sweep_too():
    rng = np.random.default_rng(3)
    values = [{0: value} if number < 12 else {} for number, value in enumerate(rng.normal(0.5, 0.1, len(PAIRS)))]
    means = {"+".join(ops): float(mean) for ops, mean in zip(PAIRS, rng.normal(0.5, 0.1, len(PAIRS)), strict=True)}
    model = _Model(Compositions(of_names(*PAIRS), [means]).kernels(1.0), _Trials.of([values]))
    at = model.prior + rng.normal(0, 0.3, len(model.prior))
    expected = approx_fprime(at, lambda theta: model.loss(theta)[0], 1e-6)
    np.testing.assert_allclose(model.loss(at)[1], expected, rtol=1e-3, atol=1e-4)
