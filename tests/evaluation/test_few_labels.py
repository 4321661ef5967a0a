"""Few labels: which images keep theirs, how many of each class, and linear evaluation with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ablate.config.protocols import NAMES
from ablate.data import Split
from ablate.data.composed import Recipe, composed
from ablate.errors import UsageError
from ablate.evaluation import protocols
from ablate.evaluation.few_labels import few_labels, in_words
from ablate.evaluation.linear import linear, linear_evaluation
from ablate.evaluation.macro import every_score
from ablate.evaluation.protocols import PROTOCOLS, check_protocols, evaluate, flags_of, parse_protocols
from tests.evaluation.conftest import data_set, freeze


def unequal(groups=None, labels=None):
    """Classes of 400, 100 and 8 images, a quarter of each for validation."""
    labels = torch.tensor([0] * 400 + [1] * 100 + [2] * 8) if labels is None else labels
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    validates = torch.arange(len(labels)) % 4 == 0
    data = data_set((images, labels), (images[:3], torch.arange(3)), validates, 3)
    return data if groups is None else replace(data, train=Split(data.train.images, labels, groups))


@pytest.mark.parametrize(("percent", "outside", "inside"), [(10, [30, 7, 1], [10, 2, 1]), (1, [3, 1, 1], [1, 1, 1])])
def test_the_share_of_every_class_on_both_sides_of_the_split_and_at_least_one_image(percent, outside, inside):
    data = unequal()
    kept = few_labels(data, percent, seed=0)
    for side, counts in ((~data.val_mask, outside), (data.val_mask, inside)):
        assert data.train.labels[kept & side].bincount(minlength=3).tolist() == counts


def test_subsets_are_nested_and_belong_to_the_seed():
    data = unequal()
    one, ten, other = (few_labels(data, *asked) for asked in ((1, 0), (10, 0), (10, 1)))
    assert bool(ten[one].all())
    assert not torch.equal(ten, other)
    assert torch.equal(ten, few_labels(data, 10, 0))
    assert bool(few_labels(data, 100, 0).all())


def test_groups_stay_whole():
    groups = torch.arange(508) // 4 * 4  # of four images, which the split of this test cuts
    data = replace(unequal(groups), val_mask=torch.arange(508) // 4 % 4 == 0)
    kept = few_labels(data, 10, 0)
    assert all(kept[groups == group].unique().numel() == 1 for group in groups.unique().tolist())
    assert bool((data.train.labels[kept].bincount(minlength=3) > 0).all())


def test_images_without_a_label_are_not_drawn():
    labels = unequal().train.labels.where(torch.arange(508) % 2 == 0, -1)
    data = unequal(labels=labels)
    kept = few_labels(data, 10, 0)
    assert bool((labels[kept] >= 0).all())
    assert torch.equal(few_labels(data, 100, 0), labels >= 0)


def test_a_class_that_occurs_only_in_groups_of_rarer_ones_may_get_none_and_is_named():
    """Class 0 shares its four groups with class 1 or 2, which have a group of their own each."""
    labels, groups = torch.tensor([0, 1, 0, 1, 1, 0, 2, 0, 2, 2]), torch.tensor([0, 0, 1, 1, 2, 3, 3, 4, 4, 5])
    data = replace(unequal(groups, labels), val_mask=torch.zeros(10, dtype=torch.bool))
    said = {in_words(data, few_labels(data, 10, seed), 10) for seed in range(30)}
    share = "10 % of the labels, drawn by the trial's seed"
    assert f"{share}: 4 images, 1 to 2 of each class" in said
    assert f"{share}: 2 images, 0 to 1 of each class, none of 0" in said


def test_all_labels_are_linear_evaluation_itself(stripes):
    frozen = freeze(stripes)
    (h, y, mask), (test_h, test_y) = frozen.train(), frozen.test()
    plain = linear_evaluation(h, y, mask, test_h, 3)
    on_test, on_validation = plain.test_logits, plain.val_logits
    expected = every_score("linear", on_test, test_y, 3) | every_score("linear_val", on_validation, y[mask], 3)
    assert linear(frozen, "h", percent=100).metrics == {**expected, "linear_l2": plain.l2}
    assert parse_protocols("linear:100%,linear:100%@z,linear:10%@h") == ("linear", "linear@z", "linear:10%")


def test_a_share_is_linear_evaluation_of_a_set_with_those_labels_alone(stripes):
    """Only the accuracy on validation is that of more images."""
    frozen = freeze(stripes, seed=3)
    found = linear(frozen, "h", percent=10)
    kept = few_labels(stripes, 10, seed=3)
    alone = replace(stripes, train=replace(stripes.train, labels=stripes.train.labels.where(kept, -1)))
    expected = linear(freeze(alone, seed=3), "h").metrics
    for metric in ("linear_top1", "linear_balanced_accuracy", "linear_l2"):
        assert found.metrics[metric.replace("linear", "linear_10pct")] == expected[metric]
    assert found.metrics.keys() == {metric.replace("linear", "linear_10pct") for metric in expected}
    assert "10 % of the labels, drawn by the trial's seed: 12 images, 4 of each class, 3 of them" in found.description


def test_the_accuracy_on_validation_is_that_of_the_whole_split(stripes):
    frozen = freeze(stripes)
    h, y, mask = frozen.train()
    used = few_labels(stripes, 10, 0)
    result = linear_evaluation(h, y, mask, frozen.test()[0], 3, used=used)
    assert len(result.val) == int(mask.sum()) == 30
    right = float((result.val == y[mask]).double().mean())
    assert linear(frozen, "h", percent=10).metrics["linear_10pct_val_top1"] == right


def test_what_it_adds_to_a_record(stripes, monkeypatch):
    at_edge = replace(linear_evaluation(*freeze(stripes).train(), freeze(stripes).test()[0], 3), flags=("l2-at-edge",))
    monkeypatch.setattr("ablate.evaluation.linear.linear_evaluation", lambda *_: at_edge)
    found = evaluate(freeze(stripes), ["linear", "linear:10%", "linear:1%@z"])
    assert {"linear_top1", "linear_10pct_top1", "z_linear_1pct_balanced_accuracy"} <= found.metrics.keys()
    assert list(found.protocols) == ["linear", "linear:10%", "linear:1%@z"]
    assert found.flags == ("l2-at-edge", "linear-10pct-l2-at-edge", "z-linear-1pct-l2-at-edge")
    assert [flags_of(spec) for spec in found.protocols] == [(flag,) for flag in found.flags]


def test_labels_that_were_fewer_already(stripes):
    """``--labels`` leaves some; a share is one of those."""
    fewer = composed(Recipe("a", "a", 0.5), stripes, stripes)
    kept = few_labels(fewer, 10, 0)
    assert int(kept.sum()) < int(few_labels(stripes, 10, 0).sum())
    assert bool((fewer.train.labels[kept] >= 0).all())


def test_a_share_that_is_as_large_as_the_next_is_refused():
    """Of groups of 30 images, 1 % and 10 % of a class are one; of those that are a class each, 10 % is all."""
    groups = torch.tensor([number // 30 for number in range(500)] + [99] * 8)
    data = replace(unequal(groups), val_mask=torch.arange(508) < 60)
    check_protocols(["linear", "linear:10%"], data)
    with pytest.raises(
        UsageError, match=r"'finetune:1%' would use 68 labels of made-up outside the .*, as many as finetune:10%"
    ):
        check_protocols(["finetune:1%"], data)
    with pytest.raises(UsageError, match=r"'linear:10%@z' would use 381 labels of made-up outside .* ask for linear$"):
        check_protocols(["linear:10%@z"], unequal(torch.tensor([0] * 400 + [1] * 100 + [2] * 8)))


def test_names(stripes):
    assert tuple(PROTOCOLS) == NAMES
    with pytest.raises(UsageError, match=r"unknown protocol 'linear:5%'; allowed: .*did you mean 'linear:1%'"):
        parse_protocols("linear:5%")
    with pytest.raises(UsageError, match=r"allowed: linear@h, linear@z; did you mean 'linear:1%@z'\?"):
        parse_protocols("linear@z:1%")
    with pytest.raises(UsageError, match=r"allowed: finetune@h$"):
        parse_protocols("finetune@z:1%")
    with pytest.raises(UsageError, match="unknown protocol 'knn:10%'"):
        parse_protocols("knn:10%")
    with pytest.raises(UsageError, match="'linear:1%' needs labels, and made-up has no labels"):
        check_protocols(["linear:1%"], replace(stripes, classes=()))
    assert protocols.outdated("linear:1%@z", ["linear_top1"]) == set()
