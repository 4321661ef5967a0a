"""Flips, turns and the symmetries of a square, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as V

from ablate.ops import get
from ablate.ops.symmetry import SYMMETRIES
from tests.support.pictures import generator, pictures

EXPECTED = {
    "mirrored": lambda x: x.flip(2),
    "upside down": lambda x: x.flip(1),
    "180°": lambda x: x.rot90(2, (1, 2)),
    "transposed": lambda x: x.mT,
    "270°": lambda x: x.rot90(3, (1, 2)),
    "90°": lambda x: x.rot90(1, (1, 2)),
    "transposed, 180°": lambda x: x.mT.rot90(2, (1, 2)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled, and as on a GPU
@pytest.mark.parametrize("channels", [1, 4])
def test_every_symmetry_is_what_its_words_say(dtype, channels):
    op, images = get("d4")(p=1.0), pictures(70, channels, (16, 16)).to(dtype)
    params = op.sample(70, (16, 16), generator())
    result, words = op.apply(images, params), op.each_in_words(params, [(16, 16)] * 70)
    assert set(words) == set(SYMMETRIES) == set(EXPECTED)
    for image, changed, said in zip(images, result, words, strict=True):
        assert torch.equal(changed, EXPECTED[said](image))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rotate_against_torch(dtype):
    op, images = get("rotate")(), torch.rand(30, 3, 16, 16, generator=generator()).to(dtype)
    params = op.sample(30, (16, 16), generator())
    result, words = op.apply(images, params), op.each_in_words(params, [(16, 16)] * 30)
    for i, turns in enumerate(params["turns"].tolist()):
        assert torch.equal(result[i], images[i].rot90(turns, (1, 2)))
        assert torch.equal(result[i], EXPECTED[words[i]](images[i]))
    assert set(params["turns"].tolist()) == {1, 2, 3}


def test_vflip_against_torchvision():
    images = pictures(4, 2, (12, 20))
    op = get("vflip")(p=1.0)
    assert torch.equal(op.apply(images, op.sample(4, (12, 20), generator())), V.vertical_flip(images))


def test_all_eight_symmetries_are_equally_likely_by_default():
    op = get("d4")()
    params = op.sample(8000, (4, 4), generator())
    counts = torch.bincount(torch.where(params["mask"], params["symmetry"], 0), minlength=8)
    assert (counts - 1000).abs().max() < 4 * (8000 * 7 / 64) ** 0.5


def test_ops_that_put_images_upside_down_say_so():
    assert all(get(name)().is_turning for name in ("vflip", "rotate", "d4"))
    assert not any(get(name)(p=0.0).is_turning for name in ("vflip", "rotate", "d4"))
    assert not get("flip")().is_turning
