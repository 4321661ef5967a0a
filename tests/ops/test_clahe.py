"""Local contrast against kornia, with equal limits."""

from __future__ import annotations

import kornia
import pytest
import torch

from ablate.ops import get
from tests.support.pictures import generator, pictures


@pytest.mark.parametrize("tiles", [2, 8])
@pytest.mark.parametrize("size", [(32, 32), (96, 96), (50, 70), (37, 40), (224, 140)])
def test_clahe_against_kornia(size, tiles):
    images = pictures(4, 2, size)
    images[0, 0], images[1] = 0.3, images[1] / 10  # a flat channel, and little contrast
    op = get("clahe")(limit=(1.0, 20.0), tiles=tiles, p=1.0)
    params = op.sample(4, size, generator())
    result = op.apply(images, params)
    grid = min(tiles, size[0] // 16), min(tiles, size[1] // 16)
    for i in range(4):
        expected = kornia.enhance.equalize_clahe(images[i], float(params["limit"][i]), grid)
        torch.testing.assert_close(result[i], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (7, 7)])
def test_small_images_get_fewer_tiles(size):
    op, images = get("clahe")(p=1.0), pictures(2, 1, size)
    result = op.apply(images, op.sample(2, size, generator()))
    assert result.shape == images.shape
    assert torch.isfinite(result).all()


def test_a_higher_limit_gives_more_contrast():
    images = 0.4 + 0.2 * pictures(6, 1, (64, 64))
    spread = []
    for limit in (1.0, 3.0, 30.0):
        op = get("clahe")(limit=(limit, limit), p=1.0)
        spread.append(float(op.apply(images, op.sample(6, (64, 64), generator())).std((2, 3)).mean()))
    assert spread[0] < spread[1] < spread[2]
