"""Erased parts and shrunken images against torchvision, with equal boxes."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as V

from ablate.ops import get
from tests.support.pictures import generator, pictures

SIZES = [(32, 32), (24, 40), (7, 5)]


def boxes(params):
    names = ("top", "left", "height", "width")
    return [[int(value) for value in row] for row in zip(*(params[name].tolist() for name in names), strict=True)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shape", ["box", "rows", "columns"])
def test_erase_against_torchvision(shape, size):
    op, images = get("erase")(shape=shape, fill=0.25, p=1.0), pictures(40, 2, size)
    params = op.sample(40, size, generator())
    result = op.apply(images, params)
    for i, (top, left, height, width) in enumerate(boxes(params)):
        assert torch.equal(result[i], V.erase(images[i], top, left, height, width, torch.tensor(0.25)))
        assert 0 <= top <= size[0] - height < size[0]
        assert 0 <= left <= size[1] - width < size[1]
        assert shape != "rows" or (left, width) == (0, size[1])
        assert shape != "columns" or (top, height) == (0, size[0])


@pytest.mark.parametrize("shape", ["box", "rows", "columns"])
@pytest.mark.parametrize("area", [(0.02, 0.33), (0.7, 1.0)])
def test_the_erased_area_is_uniform_also_where_most_ratios_do_not_fit(shape, area):
    params = get("erase")(shape=shape, area=area).sample(4000, (200, 300), generator())
    share = (params["height"] * params["width"] / 60000).sort().values
    expected = area[0] + (area[1] - area[0]) * (torch.arange(4000) + 0.5) / 4000
    assert (share - expected).abs().max() < 0.02
    if shape == "box" and area[1] < 0.5:
        ratio = params["width"] / params["height"]
        assert 0.28 < ratio.min() < 0.32
        assert 3.1 < ratio.max() < 3.5
        assert abs((ratio > 1).float().mean() - 0.5) < 0.04


def test_a_tiny_area_is_one_pixel_and_a_strong_one_the_whole_image():
    for shape in ("box", "rows", "columns"):
        small = get("erase")(shape=shape, strength=1e-6).sample(5, (16, 16), generator())
        assert torch.minimum(small["height"], small["width"]).tolist() == [1] * 5
        whole = get("erase")(shape=shape, area=(0.5, 1.0), strength=2.0).sample(5, (16, 16), generator())
        assert (whole["height"] * whole["width"]).tolist() == [256] * 5


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled, and as on a GPU
def test_zoom_out_against_torchvision(dtype, channels, size):
    """Not down to a width of 1, where the rows of torch's antialiased interpolation are all the first."""
    op, images = get("zoom_out")(area=(0.1, 1.0), fill=0.5, p=1.0), pictures(30, channels, size).to(dtype)
    params = op.sample(30, size, generator())
    result = op.apply(images, params)
    for i, (top, left, height, width) in enumerate(boxes(params)):
        small = V.resize(images[i], [height, width], antialias=True)
        edges = [left, top, size[1] - left - width, size[0] - top - height]
        torch.testing.assert_close(result[i], V.pad(small, edges, fill=0.5), atol=1e-5, rtol=0)


def test_an_image_that_is_not_shrunk_stays_and_the_area_is_uniform():
    images = pictures(3, 3, (16, 16))
    op = get("zoom_out")(area=(1.0, 1.0), p=1.0)
    torch.testing.assert_close(op.apply(images, op.sample(3, (16, 16), generator())), images, atol=1e-6, rtol=0)
    params = get("zoom_out")().sample(4000, (300, 300), generator())
    share = (params["height"] * params["width"] / 90000).sort().values
    assert (share - (0.25 + 0.75 * (torch.arange(4000) + 0.5) / 4000)).abs().max() < 0.03
