"""Linear evaluation of further tasks: on the same features, without the images that have no label."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from ablate.data.tasks import TaskLabels
from ablate.evaluation.linear import fit, linear_evaluation, logits, standardise
from ablate.evaluation.multilabel import independent, one_by_one
from ablate.evaluation.protocols import evaluate
from ablate.evaluation.ridge import STRENGTHS, predict, r2, ridge, ridge_evaluation
from tests.evaluation.conftest import data_set, freeze


def coarse():
    """An encoder without parameters: 2 x 4 average pixels in three channels."""
    return torch.nn.Sequential(torch.nn.AvgPool2d((8, 4)), torch.nn.Flatten())


def column(labels, missing):
    values = labels.double()[:, None]
    return values.where(~missing[:, None], torch.nan)


@pytest.fixture
def halves(stripes):
    """The task whether the class is 0, which a third of the images has no label for."""
    train, test = stripes.train.labels, stripes.test.labels
    holes = torch.arange(len(train)) % 5 == 1, torch.arange(len(test)) % 5 == 1
    task = TaskLabels("half", "classes", ("no", "yes"), column(train == 0, holes[0]), column(test == 0, holes[1]))
    return dataclasses.replace(stripes, tasks=(task,))


def test_a_task_is_evaluated_as_if_its_labels_were_the_only_ones(halves, stripes):
    alone, both = evaluate(freeze(stripes, coarse()), ["linear"]), evaluate(freeze(halves, coarse()), ["linear"])
    assert {name: both.metrics[name] for name in alone.metrics} == alone.metrics
    frozen, task = freeze(halves, coarse()), halves.tasks[0]
    (h, _, val_mask), (test_h, _) = frozen.train(), frozen.test()
    known, tested = task.known
    y, test_y = task.train[known, 0].long(), task.test[tested, 0].long()
    result = linear_evaluation(h[known], y, val_mask[known], test_h[tested], 2)
    assert both.metrics["half:linear_l2"] == result.l2
    assert both.metrics["half:linear_top1"] == pytest.approx(float((result.test == test_y).double().mean()))
    assert both.metrics["half:linear_val_top1"] == pytest.approx(
        float((result.val == y[val_mask[known]]).double().mean())
    )
    assert both.protocols["half:linear"].startswith("task half: logistic regression by L-BFGS")
    assert f"all {int(known.sum())} training images with a value" in both.protocols["half:linear"]


def test_a_further_set_is_evaluated_as_if_it_were_the_only_one(stripes):
    images = torch.randint(0, 255, (80, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    labels, val_mask = torch.arange(50) % 2, torch.arange(50) % 5 == 0
    other = data_set((images[:50], labels), (images[50:], torch.arange(30) % 2), val_mask, 2)
    both = dataclasses.replace(stripes, further=(dataclasses.replace(other, name="noise"),))
    main, alone = (evaluate(freeze(data, coarse()), ["linear"]) for data in (stripes, other))
    found = evaluate(freeze(both, coarse()), ["linear"])
    assert found.metrics == {**main.metrics, **{f"noise:{name}": value for name, value in alone.metrics.items()}}
    assert found.images.test == main.images.test
    assert "refitted on all 50 training images with a value, and scored on 30 test" in found.protocols["noise:linear"]


def test_a_task_needs_no_label_of_the_main_one(halves):
    """Images that lost the main label still count for a task that has one."""
    train = dataclasses.replace(halves.train, labels=halves.train.labels.where(torch.arange(120) % 2 == 0, -1))
    fewer = dataclasses.replace(halves, train=train, pretrain=train)
    every = evaluate(freeze(halves, coarse()), ["linear"]).metrics
    assert evaluate(freeze(fewer, coarse()), ["linear"]).metrics["half:linear_top1"] == every["half:linear_top1"]


def features(n=90, d=6, seed=0):
    """Features, a validation mask of a third, and test features."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), torch.arange(n) % 3 == 0, torch.randn(40, d, generator=generator)


@pytest.mark.parametrize("l2", [10.0, 0.01, 1e-6])
def test_ridge_is_that_of_scikit_learn(l2):
    h, _, test_h = features()
    h[:, 3] = h[:, 2]  # without a penalty, there would be no single solution
    y = h.double() @ torch.arange(6.0, dtype=torch.float64) + 30 + 0.1 * test_h.double().mean()
    (weights,) = ridge(h, y, (l2,))
    theirs = Ridge(alpha=len(h) * l2).fit(h.double().numpy(), y.numpy())
    assert torch.allclose(
        predict(weights, test_h), torch.from_numpy(theirs.predict(test_h.double().numpy())), atol=1e-6
    )
    assert r2(predict(weights, h), y) == pytest.approx(r2_score(y.numpy(), theirs.predict(h.double().numpy())))


def test_regression_chooses_its_strength_on_validation():
    h, val_mask, test_h = features(n=150, d=80)
    noisy = h[:, :2].double().sum(1) + torch.randn(150, generator=torch.Generator().manual_seed(1))
    result = ridge_evaluation(h, noisy, val_mask, test_h)
    fit_h, val_h = standardise(h[~val_mask], h[val_mask])
    fitted = zip(STRENGTHS, ridge(fit_h, noisy[~val_mask], STRENGTHS), strict=True)
    scored = {l2: r2(predict(weights, val_h), noisy[val_mask]) for l2, weights in fitted}
    assert result.l2 == max(scored, key=scored.__getitem__)
    assert r2(result.val, noisy[val_mask]) == scored[result.l2]
    assert result.l2 >= 0.1  # eighty features of a hundred noisy images need a penalty
    assert not result.flags
    assert ridge_evaluation(h, 5 * h[:, 0].double(), val_mask, test_h).l2 < 0.01


def test_several_labels_are_logistic_regressions_of_their_own():
    h, _, test_h = features()
    y = torch.stack([h[:, 0] > 0, h[:, 1] + h[:, 2] > 1, h[:, 3] > -1], 1).float()
    weights = fit(h, y, 3, 0.01, loss=independent)
    for label in range(3):
        theirs = LogisticRegression(C=1 / (len(h) * 0.01), tol=1e-10, max_iter=1000).fit(h.numpy(), y[:, label].numpy())
        ours = logits(weights, test_h)[:, label]
        assert torch.allclose(ours, torch.from_numpy(theirs.decision_function(test_h.numpy())).float(), atol=2e-3)


def test_the_scores_of_several_labels_are_those_of_scikit_learn():
    scores, _, _ = features(d=4)
    y = (scores + torch.randn(90, 4, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    y[:, 3] = 0  # no image has the last label
    auroc, precision = one_by_one(scores, y)
    assert auroc == pytest.approx(roc_auc_score(y[:, :3], scores[:, :3]))
    assert precision == pytest.approx(average_precision_score(y[:, :3], scores[:, :3]))
    everywhere = torch.cat([y[:, :1], torch.ones(90, 1)], 1)
    assert one_by_one(scores[:, :2], everywhere)[0] == pytest.approx(roc_auc_score(y[:, 0], scores[:, 0]))


def test_every_kind_of_task_has_its_metrics(stripes):
    kinds = torch.nn.functional.one_hot(stripes.train.labels, 3), torch.nn.functional.one_hot(stripes.test.labels, 3)
    numbers = [labels.double()[:, None] for labels in (stripes.train.labels, stripes.test.labels)]
    tasks = (
        TaskLabels("age", "regression", (), *numbers),
        TaskLabels("marks", "multilabel", ("a", "b", "c"), *(kind.double() for kind in kinds)),
    )
    metrics = evaluate(freeze(dataclasses.replace(stripes, tasks=tasks), coarse()), ["rankme"]).metrics
    assert set(metrics) - {"rankme"} == {
        *("age:linear_r2", "age:linear_val_r2", "age:linear_l2", "marks:linear_l2"),
        *("marks:linear_auroc", "marks:linear_val_auroc"),
        *("marks:linear_average_precision", "marks:linear_val_average_precision"),
    }
