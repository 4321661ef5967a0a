from __future__ import annotations

import pytest
import torch

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


@pytest.mark.parametrize("wrong", [images().double(), images().int(), images()[0]])
def test_images_are_batches_of_a_stored_type(wrong):
    for make in (TransformPair.one_branch, TransformPair.two_branch):
        with pytest.raises(ValueError, match="uint8, uint16, float32"):
            make("crop", size=32)(wrong, streams())
    with pytest.raises(UsageError, match="one pixel"):
        TransformPair.one_branch("crop", size=0)


def test_base_belongs_to_one_branch():
    with pytest.raises(UsageError, match="base"):
        TransformPair(Composition(()), "two", 32, Crop())
    narrow = TransformPair.one_branch("none", size=32, base=Base(area=(0.01, 0.02)))
    first, _ = narrow(images(), streams())
    assert first.shape == (6, 3, 32, 32)
