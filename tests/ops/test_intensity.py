"""Intensities and channels against torchvision and kornia, with equal parameters."""

from __future__ import annotations

import kornia
import pytest
import torch
import torchvision.transforms.v2.functional as V

from ablate.ops import get
from tests.support.pictures import generator, pictures, sampled


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_intensity_against_torchvision(channels, dtype):
    images = pictures(12, channels, (24, 20)).to(dtype)
    images[0], images[1] = 0, 1
    result, params = sampled("intensity", images, offset=0.0)
    for i in range(12):
        expected = V.adjust_gamma(images[i], float(params["gamma"][i, 0]), float(params["gain"][i, 0]))
        torch.testing.assert_close(result[i], expected, atol=1e-6, rtol=0)
    result, params = sampled("intensity", images / 2, gain=0.2)
    for i in range(12):
        scaled = V.adjust_gamma(images[i] / 2, float(params["gamma"][i, 0]), float(params["gain"][i, 0]))
        assert scaled.max() < 1
        expected = kornia.enhance.adjust_brightness(scaled, float(params["offset"][i, 0]))
        torch.testing.assert_close(result[i], expected, atol=1e-6, rtol=0)


def test_intensity_per_channel_is_that_of_each_channel():
    images = pictures(4, 13, (8, 8))
    result, params = sampled("intensity", images, per_channel=True)
    for i in range(4):
        for c in range(13):
            gain, offset, gamma = (float(params[name][i, c]) for name in ("gain", "offset", "gamma"))
            expected = (gain * images[i, c].double() ** gamma + offset).clamp(0, 1)
            torch.testing.assert_close(result[i, c].double(), expected, atol=1e-6, rtol=0)


def test_intensity_ranges():
    params = get("intensity")(strength=0.5).sample(4000, (8, 8), generator())
    for name, low, high in (("gain", 0.8, 1.2), ("offset", -0.1, 0.1), ("gamma", 0.8607, 1.1618)):
        assert low <= params[name].min() < low + 0.002
        assert high - 0.002 < params[name].max() <= high
    assert params["gamma"].log().mean().abs() < 4 * 0.15 / 3**0.5 / 4000**0.5


@pytest.mark.parametrize("gamma", [0.05, 0.5, 1.0, 2.2, 20.0])
def test_the_compiled_power_is_exact_to_a_millionth_also_at_its_edges(gamma):
    from ablate.ops.cpu.intensity import intensity

    tiny = torch.tensor([0.0, 2e-38, 1e-20, 1e-6, 1.0])
    images = torch.cat([tiny, torch.rand(9995, generator=generator())]).view(1, 1, 100, 100)
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    expected = images.double() ** gamma
    intensity(images, torch.tensor([True]), one, zero, torch.full((1, 1), gamma))
    torch.testing.assert_close(images.double(), expected, atol=1e-6, rtol=0)


def test_nan_shows():
    images = pictures(1, 1, (8, 8))
    images[0, 0, 2, 3] = float("nan")
    result, _ = sampled("intensity", images)
    assert result.isnan().sum() == 1


@pytest.mark.parametrize("channels", [2, 3, 13])
def test_channels_that_are_left_out(channels):
    images = pictures(200, channels, (4, 4)).clamp_min(0.1)
    result, params = sampled("channel_drop", images, count=(1, 4), fill=0.05)
    dropped = (result == 0.05).all(3).all(2)
    assert torch.equal(dropped.sum(1), params["count"].clamp_max(channels - 1))
    assert torch.equal(result[~dropped], images[~dropped])
    assert (dropped.float().mean(0) - dropped.float().mean()).abs().max() < 0.12  # four standard deviations


def test_channel_drop_and_shuffle_against_kornia():
    images = pictures(64, 5, (6, 6))
    result, params = sampled("channel_drop", images)
    rows, first = torch.arange(64)[:, None], params["turn"][:, :5].argsort(1)
    theirs = kornia.augmentation.RandomChannelDropout(p=1.0)
    drawn = {"batch_prob": torch.ones(64), "batch_idx": rows, "channel_idx": first[:, :1]}
    assert torch.equal(result, theirs(images, params=drawn))
    result, params = sampled("channel_shuffle", images)
    order = params["turn"][:, :5].argsort(1)
    theirs = kornia.augmentation.RandomChannelShuffle(p=1.0)
    assert torch.equal(result, theirs(images, params={"batch_prob": torch.ones(64), "channels": order}))


def test_every_order_of_channels_is_equally_likely():
    images = torch.tensor([0.0, 0.5, 1.0])[None, :, None, None].expand(6000, 3, 1, 1)
    result, _ = sampled("channel_shuffle", images)
    _, counts = result.flatten(1).unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert (counts - 1000).abs().max() < 4 * (6000 * 5 / 36) ** 0.5
