"""Which accuracy chooses, and what it is called."""

from __future__ import annotations

import pytest

from ablate.config.measure import measure_for, measured_by, on_validation


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
