"""An op that would fail in a trial fails when the sweep is planned, in one sentence."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ablate.errors import UsageError
from ablate.ops import Op, get, names, rehearse


def op_that(transform):
    cls = type("Mine", (Op,), {"name": "mine", "transform": lambda self, images, params: transform(images)})
    return dataclasses.dataclass(frozen=True)(cls)()


@pytest.mark.parametrize("name", names())
def test_every_registered_op_passes(name):
    rehearse(get(name)(), 24)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda x: x[:, :, 1:], r"must return \[2, 3, 16, 16\]"),
        (lambda x: x.double(), "float64"),
        (lambda x: (x, x), "not tuple"),
        (lambda x: 2 * x, r"values in \[0, 1\]"),
        (lambda x: x * float("nan"), r"values in \[0, 1\]"),
        (lambda x: x @ torch.ones(3, 3), "fails on 16 x 16 images: RuntimeError"),
    ],
)
def test_what_an_op_must_not_do(transform, expected):
    with pytest.raises(UsageError, match=expected):
        rehearse(op_that(transform), 16)


def test_an_op_with_a_small_p_is_tried_all_the_same():
    with pytest.raises(UsageError, match="fails"):
        rehearse(dataclasses.replace(op_that(lambda x: x.no_such_thing), p=0.001), 16)
