"""An op that would fail in a trial fails when the sweep is planned, in one sentence."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ablate.errors import UsageError
from ablate.ops import Op, get, names, parse_composition, rehearse, without_effect


def op_that(transform):
    cls = type("Mine", (Op,), {"name": "mine", "transform": lambda self, images, params: transform(images)})
    return dataclasses.dataclass(frozen=True)(cls)()


@pytest.mark.parametrize("name", names())
def test_every_registered_op_passes(name):
    rehearse(get(name)(), 24)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda x: x[:, :, 1:], r"must return the shape and dtype that it takes, \[2, 3, 16, 16\]"),
        (lambda x: x.double(), "float64"),
        (lambda x: (x, x), "not tuple"),
        (lambda x: 2 * x, r"values in \[0, 1\]"),
        (lambda x: x * float("nan"), r"values in \[0, 1\]"),
        (lambda x: x @ torch.ones(3, 3), "fails on 16 x 16 images of 3 channels: RuntimeError"),
    ],
)
def test_what_an_op_must_not_do(transform, expected):
    with pytest.raises(UsageError, match=expected):
        rehearse(op_that(transform), 16)


def test_an_op_with_a_small_p_is_tried_all_the_same():
    with pytest.raises(UsageError, match="fails"):
        rehearse(dataclasses.replace(op_that(lambda x: x.no_such_thing), p=0.001), 16)


COLOURED = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
GREY = COLOURED[:, :1].expand(-1, 3, -1, -1)


def tried(text, images):
    return without_effect(parse_composition(text), images)


def test_on_coloured_images_every_registered_op_changes_something():
    assert without_effect([get(name)() for name in names()], COLOURED) == []


def test_on_grey_images_colour_ops_do_less_or_nothing():
    assert tried("gray+crop", GREY) == ["gray changes nothing on these images (tried on 8)"]
    sentences = tried("gray+color+jitter(hue=0)+crop", GREY)
    assert sentences[0] == "gray changes nothing on these images (tried on 8)"
    assert sentences[1] == (
        "these images are grey (three equal channels), so saturation, hue and gray_p of color and "
        "saturation of jitter(hue=0.0) change nothing"
    )
    assert tried("crop+blur+solarize", GREY) == []
    assert tried("jitter(saturation=0,hue=0)", GREY) == []


def test_an_exchange_of_equal_channels_changes_nothing():
    assert tried("channel_shuffle+channel_drop", GREY) == [
        "channel_shuffle changes nothing on these images (tried on 8)"
    ]
    assert tried("channel_shuffle", COLOURED) == []


def test_what_is_idle_whatever_its_p_and_what_is_switched_off():
    half = torch.full((8, 3, 16, 16), 0.3)
    assert tried("solarize(p=0.1)+flip+rotate", half) == [
        "solarize(p=0.1), flip and rotate change nothing on these images (tried on 8)"
    ]
    assert tried("color(strength=0)", GREY) == []


def test_an_op_that_fails_on_more_images_than_it_was_rehearsed_on_is_left_to_its_trials():
    class Brittle(Op):
        def transform(self, images, params):
            if len(images) > 2:
                raise RuntimeError("brittle as glass")
            return images

    assert without_effect([Brittle()], COLOURED[:4]) == []
    assert without_effect([Brittle()], COLOURED[:2]) != []
