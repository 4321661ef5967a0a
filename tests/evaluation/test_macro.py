"""Macro F1, AUROC and average precision, held against scikit-learn class by class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from ablate.config.measure import SUFFIXES
from ablate.config.tasks import MEASURES
from ablate.evaluation.linear import linear
from ablate.evaluation.macro import every_score, score_by
from tests.evaluation.conftest import freeze


def drawn(n, classes, labels, *, ties=False):
    """Logits that know the label a little, and labels of the classes in ``labels`` alone."""
    generator = torch.Generator().manual_seed(n + classes)
    y = torch.tensor(labels)[torch.randint(len(labels), (n,), generator=generator)]
    logits = torch.randn(n, classes, generator=generator) + 1.5 * torch.nn.functional.one_hot(y, classes)
    return (logits.round() if ties else logits), y


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("n", "classes", "labels"),
    [(400, 5, [0, 1, 2, 3, 4]), (300, 6, [0, 0, 0, 2, 5]), (200, 2, [0, 1, 1, 1]), (7, 3, [1, 2])],
)
def test_against_scikit_learn(n, classes, labels, ties):
    """A class without images counts in none of them."""
    logits, y = drawn(n, classes, labels, ties=ties)
    found = every_score("it", logits, y, classes)
    assert list(found) == ["it_top1", "it_balanced_accuracy", "it_macro_f1", "it_auroc", "it_average_precision"]
    assert {SUFFIXES[by]: score_by(by, logits, y, classes) for by in MEASURES["classes"]} == {
        name.removeprefix("it"): value for name, value in found.items()
    }
    probability, present = logits.double().log_softmax(1).numpy(), np.unique(y)
    f1 = f1_score(y, logits.argmax(1), average="macro", labels=present)
    assert found["it_macro_f1"] == pytest.approx(f1, abs=1e-12)
    for name, of_class in (("it_auroc", roc_auc_score), ("it_average_precision", average_precision_score)):
        each = [of_class(y == c, probability[:, c]) for c in present]
        assert found[name] == pytest.approx(np.mean(each), abs=1e-12)
    if classes == 2:
        assert found["it_auroc"] == pytest.approx(roc_auc_score(y, (logits[:, 1] - logits[:, 0])), abs=1e-12)
    elif len(present) == classes and not ties:
        every = roc_auc_score(y, logits.double().softmax(1), multi_class="ovr")
        assert found["it_auroc"] == pytest.approx(every, abs=1e-12)


def test_what_is_not_defined_is_left_out():
    logits, y = drawn(20, 3, [1])
    assert set(every_score("it", logits, y, 3)) - {"it_top1", "it_balanced_accuracy"} == {
        "it_macro_f1",
        "it_average_precision",
    }
    assert set(every_score("it", logits[:0], y[:0], 3)) == {"it_top1", "it_balanced_accuracy"}


def test_sure_predictions_keep_their_order():
    """In float32 all of these probabilities would be 1."""
    logits = torch.tensor([[26.0, 0.0], [24.0, 0.0], [22.0, 0.0], [20.0, 0.0]])
    assert every_score("it", logits, torch.tensor([0, 0, 1, 1]), 2)["it_auroc"] == 1


def test_linear_evaluation_has_them_on_both_splits(stripes):
    metrics = linear(freeze(stripes), "h").metrics
    for name in ("macro_f1", "auroc", "average_precision"):
        assert 0 < metrics[f"linear_{name}"] <= 1
        assert 0 < metrics[f"linear_val_{name}"] <= 1
