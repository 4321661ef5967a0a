from __future__ import annotations

import pytest
import torch

from ablate.config.sweep import is_named
from ablate.config.trial import Base
from ablate.errors import UsageError
from ablate.ops import Crop, center_crop, resized_crop
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import stream


def images(n=6, size=(32, 32), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8, generator=generator)


def streams(seed=0, epoch=0):
    return Streams(seed, epoch, "cpu")


def test_one_branch_views_share_the_base_crop():
    x = images()
    first, second = TransformPair.one_branch("none", size=32)(x, streams())
    assert torch.equal(first, second)
    boxes = Crop(flip_p=0.0).sample_boxes(6, (32, 32), stream(0, "base"))
    assert torch.equal(second, resized_crop(x, boxes, (32, 32)))
    assert not torch.allclose(second, x / 255)  # it is a crop


def test_one_branch_leaves_the_second_view_alone():
    pair, x = TransformPair.one_branch("invert+color", size=32), images()
    first, second = pair(x, streams())
    plain = TransformPair.one_branch("none", size=32)(x, streams())[1]
    assert torch.equal(second, plain)
    assert (first != second).flatten(1).any(1).all()


def test_cells_of_one_seed_are_paired():
    """The base crop does not depend on the composition, nor does a slot's draw depend on what other slots hold."""
    x = images()
    crops = [TransformPair.one_branch(text, size=32)(x, streams())[1] for text in ("crop", "color+blur", "noise")]
    assert torch.equal(crops[0], crops[1])
    assert torch.equal(crops[0], crops[2])
    alone = TransformPair.one_branch("crop", size=32).sample(6, (32, 32), streams())
    composed = TransformPair.one_branch("crop+color", size=32).sample(6, (32, 32), streams())
    for name, value in alone.branches[0][0].items():
        assert torch.equal(value, composed.branches[0][0][name])


def test_order_of_ops():
    x = images()
    a = TransformPair.one_branch("invert+solarize", size=32)(x, streams())[0]
    b = TransformPair.one_branch("solarize+invert", size=32)(x, streams())[0]
    assert not torch.equal(a, b)


def test_two_branch_draws_are_independent():
    first, second = TransformPair.two_branch("crop+color", size=32)(images(), streams())
    assert (first != second).flatten(1).any(1).all()


def test_two_branch_leading_crop_takes_the_stored_image_in_one_interpolation():
    x = images(size=(48, 64))
    first, second = TransformPair.two_branch("crop", size=32)(x, streams())
    for view, branch in ((first, 1), (second, 2)):
        boxes = Crop().sample_boxes(6, (48, 64), stream(0, f"branch{branch}/slot0"))
        assert torch.equal(view, resized_crop(x, boxes, (32, 32)))


def test_two_branch_without_leading_crop_starts_from_the_centre_square():
    x = images(size=(48, 64))
    first, second = TransformPair.two_branch("none", size=32)(x, streams())
    assert torch.equal(first, second)
    assert torch.equal(first, center_crop(x, (32, 32), 1.0))


@pytest.mark.parametrize("make", [TransformPair.one_branch, TransformPair.two_branch])
@pytest.mark.parametrize("text", ["none", "crop+color", "color+crop", "rotate"])
def test_padding_is_never_seen(make, text):
    """Images of several sizes in one padded batch: the padding's content changes nothing."""
    sizes = torch.tensor([[32, 40], [50, 32], [32, 32], [44, 44]])
    black, white = torch.zeros(4, 3, 50, 44, dtype=torch.uint8), torch.full((4, 3, 50, 44), 255, dtype=torch.uint8)
    for x in (black, white):
        for i, (h, w) in enumerate(sizes.tolist()):
            x[i, :, :h, :w] = images(1, (h, w), seed=i)[0]
    pair = make(text, size=32)
    for a, b in zip(pair(black, streams(), sizes), pair(white, streams(), sizes), strict=True):
        assert a.shape == (4, 3, 32, 32)
        assert torch.equal(a, b)


@pytest.mark.parametrize("make", [TransformPair.one_branch, TransformPair.two_branch])
def test_first_view_is_the_first_view(make):
    pair, x = make("crop+color", size=32), images()
    assert torch.equal(pair.first_view(x, streams()), pair(x, streams())[0])


def test_generator_forks_into_streams():
    pair, x = TransformPair.two_branch("crop+noise", size=32), images()
    same = [pair(x, torch.Generator().manual_seed(3)) for _ in range(2)]
    other = pair(x, torch.Generator().manual_seed(4))
    assert torch.equal(same[0][0], same[1][0])
    assert not torch.equal(same[0][0], other[0])
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(pair(x, generator)[0], pair(x, generator)[0])  # a second batch draws anew


def test_streams_depend_on_seed_purpose_and_epoch():
    draws = {
        (seed, purpose, epoch): torch.rand(4, generator=stream(seed, purpose, epoch)).tolist()
        for seed in (0, 1)
        for purpose in ("base", "order")
        for epoch in (0, 1)
    }
    assert len({tuple(v) for v in draws.values()}) == 8
    assert torch.rand(4, generator=stream(1, "base", 1)).tolist() == draws[1, "base", 1]


def test_composition_text_and_specs():
    text = "crop+color(strength=0.5)"
    composition = Composition.parse(text)
    assert str(composition) == text
    assert Composition.from_specs(composition.specs()) == composition
    assert str(Composition.parse("none")) == "none"
    with pytest.raises(UsageError):
        Composition.parse("crop++color")


BRANCHES = ("crop+color", "blur(p=1.0)+crop", "none", "noise")


@pytest.mark.parametrize("first", BRANCHES)
@pytest.mark.parametrize("second", BRANCHES)
@pytest.mark.parametrize("base", [None, Base(area=(0.3, 1.0))])
def test_each_view_of_different_branches_is_the_one_that_its_ops_make_for_both(first, second, base):
    x = images(size=(40, 24))
    one, two = (TransformPair.two_branch(text, 32, base)(x, streams()) for text in (first, second))
    pair = TransformPair.two_branch(f"{first}|{second}", 32, base)
    views = pair(x, streams())
    assert torch.equal(views[0], one[0])
    assert torch.equal(views[1], two[1])
    assert torch.equal(pair.first_view(x, streams()), views[0])
    params = pair.sample(6, (40, 24), streams())
    part = pair.apply(x[2:4], params.part(slice(2, 4)))
    assert torch.equal(part[1], views[1][2:4])
    names = [[name for name, _ in pair.in_words(params, view, [(40, 24)] * 6, 3)[0]] for view in (0, 1)]
    assert names == [["base"] * (base is not None) + [op.name for op in pair.composition.branch(b)] for b in (1, 2)]


def test_two_branches_may_share_a_crop_and_draw_all_else_for_themselves():
    x = images(size=(40, 24))
    first, second = TransformPair.two_branch("none", 32, Base())(x, streams())
    assert torch.equal(first, second)
    assert torch.equal(first, TransformPair.one_branch("none", 32)(x, streams())[1])
    first, second = TransformPair.two_branch("color(jitter_p=1.0)", 32, Base())(x, streams())
    assert torch.equal(first, TransformPair.one_branch("color(jitter_p=1.0)", 32)(x, streams())[0])
    assert (first != second).flatten(1).any(1).all()


def test_different_branches_as_text_and_specs():
    composition = Composition.parse("crop + color(strength=0.5) | none")
    assert str(composition) == "crop+color(strength=0.5)|none"
    assert Composition.parse(str(composition)) == composition
    assert Composition.from_specs(composition.specs(), composition.second_specs()) == composition
    assert [op.name for op in composition.every_op] == ["crop", "color"]
    assert composition != Composition.parse("crop+color(strength=0.5)")
    same = Composition.parse("crop|crop(area=(0.08, 1.0))")
    assert (str(same), same.second_specs()) == ("crop", None)
    with pytest.raises(UsageError, match="makes two views"):
        composition(images())
    with pytest.raises(UsageError, match="augment only the first view"):
        TransformPair.one_branch(composition, 32)
    with pytest.raises(UsageError, match="op 'crop' is version 2 here, not 0"):
        Composition.from_specs((), tuple(op.model_copy(update={"version": 0}) for op in composition.specs()[:1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crop|color|blur", "'crop|color|blur' has 3 branches, but a pair has two views: A|B"),
        ("crop|", "empty item in 'crop|': branches are separated by one '|', as in crop|color"),
        ("|crop", "branches are separated"),
        ("crop||crop", "branches are separated"),
        ("crop+|color", "ops are separated by one '+'"),
        ("crop|colr", "did you mean 'color'"),
        ("(crop|color)", "cannot read '(crop|color)'"),
    ],
)
def test_bad_branches(text, expected):
    with pytest.raises(UsageError) as caught:
        Composition.parse(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize("wrong", [images().double(), images().int(), images()[0]])
def test_images_are_batches_of_a_stored_type(wrong):
    for make in (TransformPair.one_branch, TransformPair.two_branch):
        with pytest.raises(ValueError, match="uint8, uint16, float32"):
            make("crop", size=32)(wrong, streams())
    with pytest.raises(UsageError, match="one pixel"):
        TransformPair.one_branch("crop", size=0)


def test_one_branch_pairs_need_a_base():
    with pytest.raises(UsageError, match="base"):
        TransformPair(Composition(()), "one", 32, None)
    narrow = TransformPair.one_branch("none", size=32, base=Base(area=(0.01, 0.02)))
    first, _ = narrow(images(), streams())
    assert first.shape == (6, 3, 32, 32)


@pytest.mark.parametrize(
    ("typed", "label", "same"),
    [
        ("crop(flip_p=0) + flip", "crop(flip_p=0.0)+flip", True),
        ("color(strength=0.50)", "color(strength=0.5)", True),
        ("crop(area=(0.10,1))", "crop(area=(0.1,1.0))", True),
        ("blur(size=1)", "blur(size=10)", False),
        ("crop, objective=byol", "crop,objective=byol", True),
        ("flip+crop", "crop+flip", False),
    ],
)
def test_a_cell_is_found_however_its_numbers_are_written(typed, label, same):
    assert is_named(typed, label) is same
