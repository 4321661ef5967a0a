"""Invariances against their definitions in NumPy, and for encoders whose invariances are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablate.evaluation import invariance as module
from ablate.evaluation.invariance import concordance, halves, invariance, ops_tested, told
from tests.evaluation.conftest import data_set, freeze, pixels

MEANS = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
"""The mean of each channel: blind to every position."""


class Luma(torch.nn.Module):
    """Grey pixels, by torchvision's weights: blind to every colour of equal luma."""

    def forward(self, views):
        return (views * torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)).sum(1).flatten(1)


class Sum(torch.nn.Module):
    """The sum of the channels, pixel by pixel: blind to their order."""

    def forward(self, views):
        return views.sum(1).flatten(1)


@pytest.fixture
def colourful():
    """80 test images of 16 px whose channels share nothing: each has a mean and noise of its own."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randint(0, 60, (80, 3, 1, 1), generator=generator)
    images = (means + torch.randint(0, 195, (80, 3, 16, 16), generator=generator)).to(torch.uint8)
    y = torch.arange(80) % 2
    return data_set((images, y), (images, y), y == 0, 2)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def measured(data, encoder, monkeypatch, *ops, at="h", **settings):
    monkeypatch.setattr(module, "names", lambda: list(ops))
    return invariance(freeze(data, encoder, torch.nn.Identity(), **settings), at)


def test_concordance_against_pairs_of_images():
    x, y = normal(40, 5) * 3 + 1, normal(40, 5, seed=1)
    y[:, :3] += x[:, :3]
    a, b = x.double().numpy(), y.double().numpy()
    own = ((a - b) ** 2).mean(0)
    others = ((a[:, None] - b[None]) ** 2).mean((0, 1))
    assert concordance(x, y) == pytest.approx((1 - own / others).mean(), rel=1e-9)
    assert concordance(x * torch.tensor([1e-3, 1, 7, 1, 1]), y * torch.tensor([1e-3, 1, 7, 1, 1])) == pytest.approx(
        concordance(x, y), rel=1e-5
    )


def test_known_concordances():
    x = normal(2000, 8)
    assert concordance(x, x) == pytest.approx(1)
    assert concordance(x - x.mean(0), x.mean(0) - x) == pytest.approx(-1)
    assert concordance(x, normal(2000, 8, seed=1)) == pytest.approx(0, abs=0.05)
    assert concordance(x, x + 100) == pytest.approx(0, abs=1e-3)  # moved as far as other images are
    dead = torch.cat([x, torch.full((2000, 8), 0.3)], 1)
    assert concordance(dead, dead) == pytest.approx(1)
    assert concordance(dead[:, 8:], dead[:, 8:]) is None


def test_a_probe_is_judged_on_images_it_has_not_seen():
    x, half = normal(400, 3), torch.arange(400) % 2 == 0
    assert told(x, x, half) == 0.5
    assert told(x, x + 8, half) == 1
    assert told(x, x + 8 * half[:, None], half) == 0.5  # moved only where the probe is fitted
    assert told(x, x + 8, torch.ones(400, dtype=torch.bool)) is None


def test_a_group_of_images_is_on_one_side():
    groups = torch.arange(300) // 7
    sides = halves(groups)
    assert all(len(sides[groups == group].unique()) == 1 for group in range(43))
    assert 90 < int(sides.sum()) < 210
    assert 1 < int(halves(torch.zeros(20, dtype=torch.int64)).sum()) < 19
    assert torch.equal(sides, halves(groups))


@pytest.mark.parametrize(
    ("encoder", "blind", "seeing"),
    [
        (MEANS, ("flip", "vflip", "rotate", "d4"), ("invert", "channel_shuffle")),
        (Luma(), ("gray",), ("flip", "invert")),
        (Sum(), ("channel_shuffle",), ("channel_drop", "rotate")),
        (pixels(), (), ("flip", "gray", "rotate", "channel_shuffle", "invert")),
    ],
)
def test_encoders_that_are_blind_by_construction(colourful, encoder, blind, seeing, monkeypatch):
    found = measured(colourful, encoder, monkeypatch, *blind, *seeing).metrics
    for op in blind:
        assert found[f"invariance_{op}"] == pytest.approx(1, abs=1e-4)
        assert found[f"told_{op}"] == pytest.approx(0.5, abs=0.05)
    for op in seeing:
        assert found[f"invariance_{op}"] < 0.8


def test_a_crop_that_keeps_the_content_moves_a_blind_encoder_less(stripes, monkeypatch):
    """The mean of an image of noise hardly depends on where it is cropped; its pixels do."""
    blind = measured(stripes, MEANS, monkeypatch, "crop").metrics["invariance_crop"]
    seeing = measured(stripes, pixels(), monkeypatch, "crop").metrics["invariance_crop"]
    assert blind > seeing + 0.3


def test_images_and_draws_are_those_of_every_trial(stripes, monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 40)
    ops = "color", "crop", "noise"
    one = measured(stripes, pixels(), monkeypatch, *ops, seed=0, composition="crop")
    other = measured(stripes, pixels(), monkeypatch, *ops, seed=5, composition="color+noise")
    assert one == other
    assert "40 un-augmented test images" in one.description
    assert all(value == round(value, 4) for value in one.metrics.values())
    assert [op.acts for op in ops_tested(3)] == [1.0] * 3


def test_z_is_that_of_the_same_views(stripes, monkeypatch):
    monkeypatch.setattr(module, "names", lambda: ["rotate", "gray"])
    head = torch.nn.Linear(192, 5)
    frozen = freeze(stripes, pixels(), head)
    h, z = invariance(frozen, "h"), invariance(frozen, "z")
    alone = invariance(freeze(stripes, torch.nn.Sequential(pixels(), head), torch.nn.Identity()), "h")
    assert z.metrics == pytest.approx(alone.metrics, abs=1e-4)
    assert z.metrics != h.metrics


def test_ops_that_cannot_be_tested_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "names", lambda: ["channel_shuffle", "color", "crop", "gray", "stain"])
    grey = torch.randint(0, 255, (30, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(30) % 2
    one = invariance(freeze(data_set((grey, y), (grey, y), y == 0, 2), pixels(), torch.nn.Identity()), "h")
    assert "invariance_crop" in one.metrics
    assert not {"invariance_color", "told_stain"} & one.metrics.keys()
    equal = grey.expand(-1, 3, -1, -1).contiguous()
    rgb = invariance(freeze(data_set((equal, y), (equal, y), y == 0, 2), pixels(), torch.nn.Identity()), "h")
    assert "invariance_color" in rgb.metrics  # its jitter changes the brightness
    assert "channel_shuffle, gray" in rgb.description
    assert not {"invariance_gray", "told_channel_shuffle"} & rgb.metrics.keys()


def test_a_collapsed_encoder_has_no_invariance(stripes, monkeypatch):
    class Constant(torch.nn.Module):
        def forward(self, views):
            return torch.full((len(views), 4), 0.5)

    assert measured(stripes, Constant(), monkeypatch, "color").metrics == {"told_color": 0.5}


def test_many_images_are_cut_before_they_are_read(monkeypatch):
    images = torch.randint(0, 255, (2000, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(2000, dtype=torch.int64)
    monkeypatch.setattr(module, "names", lambda: ["flip"])
    frozen = freeze(data_set((images, y), (images, y), y == 1, 1), torch.nn.Flatten(), torch.nn.Identity(), size=8)
    invariance(frozen, "h")
    assert frozen.once("invariance", lambda: None).h.shape == (2, module.IMAGES, 192)
    assert np.isclose(float(frozen.once("invariance", lambda: None).halves.double().mean()), 0.5, atol=0.1)
