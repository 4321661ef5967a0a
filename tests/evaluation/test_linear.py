from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from ablate.config.measure import SUFFIXES
from ablate.evaluation import linear as module
from ablate.evaluation.accuracy import accuracy, balanced_accuracy, scores
from ablate.evaluation.features import collapsed
from ablate.evaluation.knn import knn_predict
from ablate.evaluation.linear import L2_SWEEP, fit, linear_evaluation, predict, standardise
from ablate.evaluation.macro import every_score, score_by


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def features(kind):
    """Real digits: their pixels, noisy rectified random projections, or a badly conditioned mixture."""
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32), torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=generator())
    x, y = x[order], y[order]
    if kind == "projections":
        x = torch.relu(x @ torch.randn(64, 48, generator=generator(1)) / 8) + 4 * torch.randn(
            len(x), 48, generator=generator(2)
        )
    if kind == "ill-conditioned":
        x = x @ (torch.randn(64, 64, generator=generator(1)) * torch.logspace(-3, 3, 64)) + 1e3
    return x[:1300], y[:1300], x[1300:], y[1300:]


@pytest.mark.parametrize("kind", ["pixels", "projections", "ill-conditioned"])
@pytest.mark.parametrize("l2", [0.1, 1e-3, 1e-5])
def test_against_scikit_learn_at_equal_strength(kind, l2):
    train_h, train_y, test_h, test_y = features(kind)
    train_h, test_h = standardise(train_h, test_h)
    ours = (predict(fit(train_h, train_y, 10, l2), test_h) == test_y).double().mean().item()
    model = LogisticRegression(C=1 / (len(train_h) * l2), max_iter=10000, tol=1e-8).fit(
        train_h.numpy(), train_y.numpy()
    )
    theirs = model.score(test_h.numpy(), test_y.numpy())
    assert abs(ours - theirs) <= 0.002 + 1 / len(test_y)  # 0.2 points, and one image of 497


def test_the_minimum_is_reached():
    """The gradient of the objective, in float64, at what ``fit`` returns."""
    train_h, train_y, _, _ = features("projections")
    (train_h,) = standardise(train_h)
    weights = fit(train_h, train_y, 10, 1e-2).double().requires_grad_()
    logits = train_h.double() @ weights[:-1] + weights[-1]
    (torch.nn.functional.cross_entropy(logits, train_y) + 1e-2 / 2 * weights[:-1].square().sum()).backward()
    assert weights.grad.abs().max() < 1e-4


def test_l2_is_chosen_on_validation_and_the_rest_refitted():
    """Bit for bit a plain loop over eight strengths, each starting from the one before."""
    train_h, train_y, test_h, _ = features("projections")
    val_mask = torch.rand(len(train_y), generator=generator(3)) < 0.2
    result = linear_evaluation(train_h, train_y, val_mask, test_h, 10)
    fitted, validated = standardise(train_h[~val_mask], train_h[val_mask])
    weights, found = None, {}
    for l2 in L2_SWEEP:
        weights = fit(fitted, train_y[~val_mask], 10, l2, start=weights)
        found[l2] = predict(weights, validated)
    best = max(found, key=lambda l2: accuracy(found[l2], train_y[val_mask]))
    assert L2_SWEEP[0] > best > L2_SWEEP[-1]
    assert result.l2 == best
    assert torch.equal(result.val, found[best])
    everything, scored = standardise(train_h, test_h)
    assert torch.equal(result.test, predict(fit(everything, train_y, 10, best), scored))
    assert result.choice == "l2 of 8 from 10 to 1e-06 chosen on the validation split"
    assert result.flags == ()


@pytest.mark.parametrize(
    ("heights", "best", "swept", "flagged"),
    [
        ({-2: 0.9}, -2, (1, -6), False),
        ({0: 0.9, -3: 0.9}, 0, (1, -6), False),
        ({2: 0.8, 1: 0.7}, 2, (3, -6), False),
        ({4: 0.9, 3: 0.8, 2: 0.7, 1: 0.6}, 4, (5, -6), False),
        ({5: 0.9, 4: 0.8, 3: 0.7, 2: 0.6, 1: 0.5}, 5, (5, -6), True),
        ({3: 0.9, 1: 0.7}, 1, (2, -6), False),
        ({1: 0.9, 0: 0.9, 2: 1.0}, 1, (1, -6), False),
        ({2: 0.9, 1: 0.9}, 2, (2, -6), False),
        ({-6: 0.9}, -6, (1, -7), False),
        ({-6: 0.9, -7: 0.9, -8: 1.0}, -6, (1, -7), False),
        ({-6: 0.8, -7: 0.9}, -7, (1, -8), False),
        ({-6: 0.7, -7: 0.8, -8: 0.9}, -8, (1, -8), True),
        ({}, 1, (1, -6), False),
    ],
    ids=str,
)
def test_the_sweep_goes_on_while_its_end_alone_is_best(monkeypatch, heights, best, swept, flagged):
    """Accuracy on validation by the exponent of l2: what is chosen, how far is swept, from where each fit starts."""
    height = {10.0**exponent: value for exponent, value in heights.items()}
    starts = {}

    def fitted(h, y, classes, l2, start=None):
        starts.setdefault(l2, start)
        return l2

    monkeypatch.setattr(module, "fit", fitted)
    monkeypatch.setattr(module, "logits", lambda weights, h: weights)
    monkeypatch.setattr(module, "score_by", lambda measure, logits, *_: height.get(logits, 0.1))
    result = linear_evaluation(torch.eye(4), torch.arange(4), torch.arange(4) < 2, torch.eye(4), 4)
    strong, weak = (10.0**exponent for exponent in swept)
    assert result.l2 == 10.0**best
    assert result.choice.endswith(f"from {strong:g} to {weak:g} chosen on the validation split")
    assert result.flags == (("l2-at-edge",) if flagged else ())
    assert (max(starts), min(starts)) == (strong, weak)
    assert {l2: start for l2, start in starts.items() if l2 > 10} == {
        10.0**e: 10.0 ** (e - 1) for e in range(2, swept[0] + 1)
    }
    assert all(start == pytest.approx(10 * l2) for l2, start in starts.items() if l2 < 10)


def test_features_of_little_worth_need_more_than_ten():
    """Three classes that lie close in 200 dimensions, 400 images to fit on: the best l2 is 100."""
    y, draw = torch.arange(500) % 3, generator(1)
    h = torch.randn(500, 200, generator=draw)
    h[:, 0] += 0.1 * y
    h[:, :3] += 0.5 * torch.eye(3)[y]
    result = linear_evaluation(h, y, torch.arange(500) % 5 == 0, h, 3)
    assert (result.l2, result.flags) == (100.0, ())
    assert "l2 of 10 from 1000 to 1e-06" in result.choice


def test_classes_that_every_l2_tells_apart_are_no_reason_to_go_on():
    y = torch.arange(200) % 2
    separable = torch.stack([y.float(), 1 - y.float()], 1)
    result = linear_evaluation(separable, y, torch.arange(200) % 5 == 0, separable, 2)
    assert (result.l2, result.flags) == (10.0, ())


def test_balanced_accuracy_chooses_another_l2_where_it_is_asked_for():
    """A small class whose images strong penalties give to the large one: top-1 does not mind."""
    draw = generator(0)
    y = (torch.arange(600) % 10 == 0).long() + (torch.arange(600) % 20 == 0).long()
    h = torch.randn(600, 40, generator=draw)
    h[:, 0] += 1.2 * y
    mask = torch.arange(600) % 3 == 0
    by_top1 = linear_evaluation(h, y, mask, h, 3)
    balanced = linear_evaluation(h, y, mask, h, 3, "balanced")
    assert by_top1.l2 > balanced.l2
    assert accuracy(by_top1.val, y[mask]) > accuracy(balanced.val, y[mask])
    assert balanced_accuracy(by_top1.val, y[mask], 3) < balanced_accuracy(balanced.val, y[mask], 3)
    assert balanced.choice.endswith("chosen on the validation split by balanced accuracy")


def test_auroc_chooses_another_l2_where_it_is_asked_for():
    """A rare class that top-1 may leave to the others, and that AUROC counts like them.

    The choices are some points apart: the random numbers and the last bits depend on the processor.
    """
    measure = "auroc"
    draw = generator(3)
    y = torch.randint(3, (900,), generator=draw).where(torch.arange(900) % 8 > 0, torch.tensor(3))
    h = torch.randn(900, 60, generator=draw)
    h[:, 0] += 1.2 * (y == 3)
    h[:, 1:3] += 0.7 * torch.nn.functional.one_hot(y, 4)[:, 1:3]
    mask = torch.arange(900) % 3 == 0
    found = {by: linear_evaluation(h, y, mask, h, 4, by) for by in ("top1", "auroc")}
    value = {by: score_by(measure, result.val_logits, y[mask], 4) for by, result in found.items()}
    assert found["top1"].l2 != found[measure].l2
    assert value[measure] > value["top1"]
    assert value[measure] == every_score("it", found[measure].val_logits, y[mask], 4)[f"it{SUFFIXES[measure]}"]
    assert accuracy(found["top1"].val, y[mask]) > accuracy(found[measure].val, y[mask])


def test_top1_and_balanced_accuracy():
    y = torch.tensor([0, 0, 0, 0, 1, 1, 3])
    predicted = torch.tensor([0, 0, 0, 1, 1, 0, 0])
    recalls = [3 / 4, 1 / 2, 0 / 1]  # no image is of class 2
    assert scores("it", predicted, y, 4) == {
        "it_top1": pytest.approx(4 / 7),
        "it_balanced_accuracy": pytest.approx(sum(recalls) / 3),
    }
    nothing = torch.zeros(0).long()
    assert all(math.isnan(value) for value in scores("it", nothing, nothing, 4).values())


def test_standardise_uses_training_statistics_and_survives_constants():
    train, test = torch.randn(50, 4, generator=generator()), torch.randn(20, 4, generator=generator(1))
    train[:, 2], test[:, 2] = 7.0, 8.0
    a, b = standardise(train, test)
    torch.testing.assert_close(a[:, [0, 1, 3]].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(a[:, [0, 1, 3]].std(0), torch.ones(3))
    torch.testing.assert_close(b[:, 0], (test[:, 0] - train[:, 0].mean()) / train[:, 0].std())
    assert (a[:, 2] == 0).all()
    assert (b[:, 2] == 0).all()


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_against_scikit_learn(k):
    train_h, train_y, test_h, test_y = features("projections")
    train_h, test_h = train_h.double(), test_h.double()  # no ties between neighbours
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train_h.numpy(), train_y.numpy())
    expected = model.score(test_h.numpy(), test_y.numpy())
    predicted = knn_predict(train_h, train_y, test_h, 10, k=k)
    assert accuracy(predicted, test_y) == pytest.approx(expected)


def test_knn_with_fewer_images_than_k():
    h = torch.eye(3)
    assert knn_predict(h[:1], torch.tensor([2]), h, 3).tolist() == [2, 2, 2]


def test_collapse():
    h = torch.randn(100, 8, generator=generator())
    assert not collapsed(h)
    assert collapsed(torch.ones(100, 8) * 3 + 1e-6 * h)
    assert collapsed(torch.zeros(100, 8))
