"""Any number of channels: what an op does to a channel depends on that channel alone, unless it says otherwise."""

from __future__ import annotations

import re

import pytest
import torch

from ablate.data import DataSet, Images, Split
from ablate.errors import UsageError
from ablate.ops import Op, get, names, parse_op, refuse_channels
from ablate.ops.op import ANY_CHANNELS
from ablate.planning.trial import plan_trial
from ablate.planning.understand import plan_sweep
from tests.support.pictures import generator, pictures
from tests.support.wishes import wish

OWN_DRAWS = {"channel_drop", "channel_shuffle", "noise", "poisson"}  # every channel has draws of its own
ALIKE = [name for name in names() if get(name).channels == ANY_CHANNELS and name not in OWN_DRAWS]


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
@pytest.mark.parametrize("text", [*ALIKE, "sobel(signed=True)"])
def test_each_channel_is_changed_as_if_it_were_alone(text, channels):
    op, images = parse_op(text).acting(1.0), pictures(4, channels, (24, 24))
    params = op.sample(4, (24, 24), generator())
    together = op.apply(images, params)
    for channel in range(channels):
        alone = op.apply(images[:, channel : channel + 1], params)
        torch.testing.assert_close(together[:, channel : channel + 1], alone, atol=2e-6, rtol=0)


def test_ops_of_colour_take_three_channels_and_name_the_ops_that_take_others():
    for name in names():
        op = get(name)
        assert tuple(op.channels) == (3,) or op.channels[-1] == ANY_CHANNELS[-1]
        if op.channels != ANY_CHANNELS:
            assert all(get(other).channels != op.channels for other in op.instead)


def test_an_op_of_ones_own_takes_any_number_of_channels_or_those_that_it_declares():
    class Mine(Op):
        def transform(self, images, params):
            return 1 - images

    class OnPairs(Mine):
        channels = (2, 4)

    for channels in (1, 7, 32):
        assert Mine().apply(pictures(2, channels, (8, 8)), {}).shape == (2, channels, 8, 8)
    with pytest.raises(UsageError, match="c = 1 to 32, not"):
        Mine().apply(pictures(2, 33, (8, 8)), {})
    with pytest.raises(UsageError, match="c = 2 or 4, not"):
        OnPairs().apply(pictures(2, 3, (8, 8)), {})


def images_of(channels):
    pixels = (pictures(20, channels, (16, 16)) * 255).to(torch.uint8)
    split = Split(Images(pixels), torch.arange(20) % 2, torch.arange(20))
    return DataSet("cells", "f00d", ("a", "b"), split, split, torch.arange(20) < 4, split)


TAKEN = {
    "color": "op color takes images of 3 channels, but those of cells have {}; allowed in its place: intensity",
    "gray(p=0.5)": "op gray(p=0.5) takes images of 3 channels, but those of cells have {}; allowed in its place: ",
    "stain": "op stain takes images of 3 channels, but those of cells have {}; allowed in its place: intensity",
}


@pytest.mark.parametrize("text", TAKEN)
@pytest.mark.parametrize("channels", [1, 4])
def test_an_op_that_does_not_take_the_images_channels_is_refused_by_name(text, channels, tmp_path):
    """In a grid, in compositions beside it and in a single trial; before anything is written."""
    refused = re.escape(TAKEN[text].format(channels))
    settings = {"batch_size": 8, "image_size": 16}
    for described in (wish(ops=["crop", text], set=settings), wish(compositions=[f"crop+{text}"], set=settings)):
        with pytest.raises(UsageError, match=refused):
            plan_sweep(described, tmp_path / "out", lambda _: images_of(channels), "")
    with pytest.raises(UsageError, match=refused):
        plan_trial(wish(compositions=[text], set=settings), 0, lambda: images_of(channels))
    assert not list(tmp_path.iterdir())


def test_the_ops_that_are_named_in_its_place_take_that_number():
    for channels in (1, 2, 4, 13):
        for name in names():
            if channels not in get(name).channels:
                with pytest.raises(UsageError, match=r"in its place: [a-z]") as refusal:
                    refuse_channels(get(name)(), channels, "cells")
                for other in str(refusal.value).partition("place: ")[2].split(", "):
                    assert channels in get(other).channels


def test_other_ops_are_tried_with_the_images_channels(tmp_path):
    settings = {"batch_size": 8, "image_size": 16}
    planned, _ = plan_sweep(
        wish(ops=["crop", "intensity", "channel_drop"], set=settings), tmp_path, lambda _: images_of(5), ""
    )
    assert planned.shared.data.channels == 5
    with pytest.raises(UsageError, match=r"kornia.RandomHue.* fails on 16 x 16 images of 5 channels"):
        plan_sweep(wish(ops=["crop", "kornia.RandomHue"], set=settings), tmp_path, lambda _: images_of(5), "")
