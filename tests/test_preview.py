"""Contact sheets: what stands under a view is what was drawn for it, and can be read."""

from __future__ import annotations

import itertools

import pytest
import torch

from ablate.cli.contact_sheet import draw_grid, draw_sheet
from ablate.data import prepare
from ablate.ops import Op, names, op
from ablate.ops.composition import Composition
from ablate.ops.op import short
from ablate.ops.pair import Streams, TransformPair
from ablate.planning.compositions import named_ops, parse_one
from tests.support.wishes import wish

SIZES = [(32, 32)] * 8


def words_of(text, params, size=(32, 32)):
    return op(text).each_in_words({name: torch.tensor([value]) for name, value in params.items()}, [size], 3)[0]


@pytest.mark.parametrize(
    ("text", "params", "words"),
    [
        ("crop", {"top": 1.0, "left": 2.0, "height": 16.0, "width": 20.0, "flip": False}, "area 0.31, ratio 1.2"),
        ("crop", {"top": 0.0, "left": 0.0, "height": 32.0, "width": 32.0, "flip": True}, "area 1, ratio 1, flipped"),
        ("blur", {"mask": True, "sigma": 0.8}, "sigma 0.8"),
        ("blur", {"mask": False, "sigma": 0.8}, "not applied"),
        ("blur(strength=0)", {"mask": True, "sigma": 0.0}, "not applied"),
        ("flip", {"mask": True}, "applied"),
        ("rotate", {"mask": True, "turns": 3}, "270°"),
        ("noise", {"mask": True, "sigma": 0.013, "seed": 2**61}, "sigma 0.01"),
        ("color", {"jitter": False, "gray": False, "factors": [1.0, 1.0, 1.0, 0.0]}, "not applied"),
        ("color", {"jitter": False, "gray": True, "factors": [1.0, 1.0, 1.0, 0.0]}, "gray"),
        (
            "color",
            {"jitter": True, "gray": True, "factors": [1.24, 0.7, 1.0, -0.104]},
            "gray, bright 1.2, contrast 0.7, satur. 1, hue -0.1",
        ),
        (
            "affine",
            {"angle": -0.21, "dx": 0.05, "dy": 0.0, "scale": 1.1, "shear": 0.07},
            "-12°, scale 1.1, shift 0.05 0, shear 4°",
        ),
        ("channel_drop", {"mask": True, "count": 1, "turn": [0.5, 0.1, 0.9, *[0.0] * 29]}, "without channel 2"),
        ("channel_drop", {"mask": True, "count": 7, "turn": [0.5, 0.1, 0.9, *[0.0] * 29]}, "without channels 1 2"),
        ("channel_shuffle", {"mask": True, "turn": [0.5, 0.1, 0.9, *[0.0] * 29]}, "channels 2 1 3"),
        ("perspective", {"moves": [[0.1, 0.2], [0.31, 0.0], [0.0, 0.0], [0.1, 0.1]]}, "corners by up to 0.31"),
    ],
)
def test_an_op_says_what_it_drew(text, params, words):
    assert words_of(text, params) == words


def test_an_op_of_ones_own_says_what_it_drew_without_a_line_of_code():
    class Own(Op):
        name = "own"

    drawn = {"mask": True, "amount": 0.25, "odd": True, "even": False, "seed": 7, "at": [1.0, 2.0], "pixels": [0] * 9}
    assert Own().each_in_words({k: torch.tensor([v]) for k, v in drawn.items()}, [(8, 8)]) == [
        "amount 0.25, odd, at 1 2"
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (0.314, "0.31"), (1.14, "1.1"), (-0.0028, "-0.003"), (140.2, "140"), (9.96, "10")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize("name", [*names(), "kornia.RandomPlanckianJitter"])
@pytest.mark.parametrize("branches", ["one", "two"])
def test_what_is_said_not_to_be_applied_has_changed_nothing(name, branches):
    composition = Composition.parse(f"{name}+{name}")  # the second takes the first's view, not the stored image
    make = TransformPair.one_branch if branches == "one" else TransformPair.two_branch
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pair = make(composition, 32)
    params = pair.sample(8, (32, 32), Streams(0, 0, "cpu"))
    view, _ = pair.apply(images, params)
    first, second = (pair.in_words(params, number, SIZES, 3) for number in (0, 1))
    assert [entry[0] for entry in second[0]] == (["base"] if branches == "one" else [name, name])
    for image, words in enumerate(first):
        assert [entry[0] for entry in words] == [name, name]
        for _, said in words:
            assert said
            assert len(said) < 90
            assert not [number for number in said.split() if number.strip("-").isdigit() and len(number) > 4]
        if branches == "two" and all(said == "not applied" for _, said in words):
            assert torch.allclose(view[image], images[image] / 255)


@pytest.mark.parametrize(
    ("size", "branches", "what"),
    [
        (28, "one", ["crop+color+blur+affine", "jitter"]),
        pytest.param(224, "two", ["crop+color+rotate+cutout", "color", "none"], marks=pytest.mark.slow),
        pytest.param(28, "one", None, marks=pytest.mark.slow),
        (28, "two", None),
    ],
)
def test_pixels_are_squares_and_no_text_touches_another_or_the_edge(cache, size, branches, what):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    asked = wish(branches=branches, set={"image_size": size}, ops=["crop", "color", "affine"])
    data = prepare("glyphs", cache=cache)
    if what:
        figure = draw_sheet(asked, [parse_one(asked, text) for text in what], data, 2, 4, 0)
    else:
        figure = draw_grid(asked, named_ops(asked), data, 2, 0)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._left_title]
    texts = [text for text in texts if text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    assert any("color: " in text for text, _ in boxes)
    assert any("area 0." in text for text, _ in boxes)
    width, height = figure.bbox.max
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for (text, box), (other, its) in itertools.combinations(boxes, 2):
        assert not box.overlaps(its), (text, other)
    for axes, (text, box) in itertools.product(figure.axes, boxes):
        assert not box.overlaps(axes.get_window_extent(renderer)), text
    for axes in figure.axes:
        high, wide = axes.images[0].get_array().shape[:2]
        shown = axes.get_window_extent(renderer)
        assert shown.width / wide == pytest.approx(shown.height / high)  # pixels are squares
