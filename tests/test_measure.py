"""Which accuracy chooses, and what it is called."""

from __future__ import annotations

from typing import get_args

import pytest

from ablate.config.measure import (
    Measure,
    heading,
    measure_for,
    measure_named,
    measure_of,
    measured_by,
    on_validation,
)
from ablate.errors import UsageError


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((), "top1"),
        ((7,), "top1"),
        ((1, 1, 1), "top1"),
        ((75, 25), "top1"),  # of two classes, exactly three quarters
        ((76, 24), "balanced"),
        ((999, 1), "balanced"),
        ((20, 5, 5), "top1"),  # exactly twice its share
        ((21, 5, 5), "balanced"),
        ((20, 5, 5, 0), "balanced"),
        ((4000, *[1000] * 12), "balanced"),
        ((2000, *[1000] * 9), "top1"),
        ((3640, 40, *[340] * 7), "balanced"),
    ],
    ids=str,
)
def test_balanced_accuracy_chooses_above_twice_the_share_of_the_largest_class_or_three_quarters(counts, expected):
    assert measure_for(counts) == expected
    assert measure_for([10**6 * count for count in counts]) == expected


@pytest.mark.parametrize(
    ("metric", "balanced", "validation"),
    [
        ("linear_top1", "linear_balanced_accuracy", "linear_val_top1"),
        ("z_linear_val_top1", "z_linear_val_balanced_accuracy", None),
        ("knn_balanced_accuracy", "knn_balanced_accuracy", "knn_val_balanced_accuracy"),
        ("rankme", "rankme", "rankme"),
    ],
)
def test_names_of_metrics(metric, balanced, validation):
    assert measured_by(metric, "balanced") == balanced
    assert measured_by(balanced, "top1") == metric.replace("_balanced_accuracy", "_top1")
    assert validation is None or on_validation(metric) == validation


def test_only_linear_evaluation_has_more_than_accuracies():
    """Balanced accuracy stands for the others where a protocol has none of them."""
    assert measured_by("linear_val_top1", "auroc") == "linear_val_auroc"
    assert measured_by("z_linear_10pct_macro_f1", "ap") == "z_linear_10pct_average_precision"
    assert [measured_by("knn_top1", of) for of in ("top1", "f1", "auroc", "ap")] == [
        "knn_top1",
        *["knn_balanced_accuracy"] * 3,
    ]
    assert on_validation("linear_average_precision") == "linear_val_average_precision"


def test_the_measure_of_a_metric():
    names = ("knn_top1", "linear_balanced_accuracy", "linear_val_macro_f1", "z_linear_auroc", "rankme")
    assert [measure_of(name) for name in names] == ["top1", "balanced", "f1", "auroc", "top1"]


def test_headings_name_the_measure():
    assert [heading(measure) for measure in get_args(Measure)] == [
        "Accuracy",
        "Accuracy",
        "Macro F1",
        "AUROC",
        "Average precision",
        "R²",
    ]


@pytest.mark.parametrize(
    ("typed", "measure"),
    [*((name, name) for name in get_args(Measure)), ("macro-f1", "f1"), ("auprc", "ap"), ("accuracy", "top1")],
)
def test_a_measure_is_known_by_its_synonyms(typed, measure):
    assert measure_named(typed) == measure


def test_an_unknown_measure_names_the_nearest():
    with pytest.raises(UsageError, match=r"unknown metric 'auroch'; allowed: top1, .*did you mean 'auroc'"):
        measure_named("auroch")
