from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from ablate.evaluation.features import collapsed
from ablate.evaluation.knn import knn_top1
from ablate.evaluation.linear import fit, linear_evaluation, predict, standardise


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
    train_h, train_y, test_h, test_y = features("projections")
    val_mask = torch.rand(len(train_y), generator=generator(3)) < 0.2
    result = linear_evaluation(train_h, train_y, val_mask, test_h, test_y, 10)
    everything, scored = standardise(train_h, test_h)
    again = (predict(fit(everything, train_y, 10, result.l2), scored) == test_y).double().mean().item()
    assert result.top1 == again
    recalls = [
        (predict(fit(everything, train_y, 10, result.l2), scored)[test_y == c] == c).double().mean().item()
        for c in range(10)
    ]
    assert result.balanced_accuracy == pytest.approx(sum(recalls) / 10)
    flipped = linear_evaluation(train_h, train_y, val_mask, test_h, (test_y + 1) % 10, 10)
    assert (flipped.l2, flipped.val_top1) == (result.l2, result.val_top1)  # the test set chooses nothing


def test_an_l2_at_the_edge_is_flagged():
    y = torch.arange(200) % 2
    noise = torch.randn(200, 30, generator=generator())
    noise[torch.arange(200) % 4 < 2] *= -1
    separable = torch.stack([y.float(), 1 - y.float()], 1)
    mask = torch.arange(200) % 5 == 0
    assert linear_evaluation(separable, y, mask, separable, y, 2).flags == ("l2-at-edge",)


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
    assert knn_top1(train_h, train_y, test_h, test_y, 10, k=k) == pytest.approx(expected)


def test_knn_with_fewer_images_than_k():
    h = torch.eye(3)
    assert knn_top1(h[:1], torch.tensor([2]), h, torch.tensor([2, 2, 0]), 3) == pytest.approx(2 / 3)


def test_collapse():
    h = torch.randn(100, 8, generator=generator())
    assert not collapsed(h)
    assert collapsed(torch.ones(100, 8) * 3 + 1e-6 * h)
    assert collapsed(torch.zeros(100, 8))
