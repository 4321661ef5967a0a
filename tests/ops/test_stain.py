"""Stains against scikit-image, with equal factors and addends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import hed2rgb, hed_from_rgb, rgb2hed, rgb_from_hed

from ablate.ops import get
from ablate.ops.stain import RGB_OF_STAIN, STAIN_OF_RGB
from tests.support.pictures import generator, pictures


def tissue(n):
    """Images that are mixtures of the stains: no amount is negative, which scikit-image would drop."""
    amounts = pictures(n, 3, (24, 24)).permute(0, 2, 3, 1).double().numpy() * 0.1
    return torch.from_numpy(hed2rgb(amounts)).permute(0, 3, 1, 2)


def test_matrices_are_scikit_images():
    np.testing.assert_allclose(RGB_OF_STAIN, rgb_from_hed, rtol=1e-14)
    np.testing.assert_allclose(STAIN_OF_RGB, hed_from_rgb, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stain_against_scikit_image(dtype):
    images, op = tissue(12), get("stain")(p=1.0)
    params = op.sample(12, (24, 24), generator())
    result = op.apply(images.to(dtype), params)
    for i in range(12):
        stains = rgb2hed(images[i].permute(1, 2, 0).numpy())
        changed = stains * params["scale"][i].numpy() + params["shift"][i].numpy()
        expected = torch.from_numpy(hed2rgb(changed)).permute(2, 0, 1)
        torch.testing.assert_close(result[i].double(), expected, atol=1e-5, rtol=0)


def test_without_draws_every_image_stays():
    images = pictures(4, 3, (16, 16))
    op = get("stain")(scale=0.0, shift=0.0, p=1.0)
    result = op.apply(images, op.sample(4, (16, 16), generator()))
    torch.testing.assert_close(result, images.clamp_min(1e-6), atol=2e-6, rtol=0)


def test_words():
    op = get("stain")(p=1.0)
    params = {
        "mask": torch.ones(1),
        "scale": torch.tensor([[1.1, 0.9, 1.0]]),
        "shift": torch.tensor([[0.01, -0.02, 0]]),
    }
    assert op.each_in_words(params, [(8, 8)]) == ["H 1.1 +0.01, E 0.9 -0.02, D 1 +0"]
