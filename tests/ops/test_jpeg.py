"""The loss of JPEG against Pillow's files, at equal quality."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.ops import get
from tests.support.pictures import generator, pictures


def through_a_file(image, quality):
    """An image, uint8 [h, w, c], as Pillow reads it from the file that it writes, with 4:2:0."""
    file = io.BytesIO()
    Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file)).reshape(image.shape).astype(float)


@pytest.mark.parametrize("size", [(32, 32), (40, 44), (25, 33)])
@pytest.mark.parametrize("quality", [5, 30, 50, 75, 95, 100])
@pytest.mark.parametrize(("channels", "apart"), [(1, 1.2), (3, 2.0)])
def test_pixels_are_pillows_but_for_rounding(channels, apart, quality, size):
    """Where a frequency lies between two steps, the last bit of integer arithmetic decides."""
    images = (pictures(4, channels, size) * 255).round()
    op = get("jpeg")(quality=(quality, quality), p=1.0)
    result = op.apply(images / 255, op.sample(4, size, generator())) * 255
    torch.testing.assert_close(result, result.round(), atol=1e-3, rtol=0)
    for image, ours in zip(images, result, strict=True):
        before, after = (x.permute(1, 2, 0).numpy() for x in (image, ours))
        expected = through_a_file(before.astype(np.uint8), quality)
        assert np.abs(after - expected).mean() < apart
        if quality < 100:
            assert np.abs(after - expected).mean() < np.abs(before - expected).mean() / 3


def test_steps_of_every_quality_are_pillows():
    from ablate.ops.jpeg import CHROMA, LUMA, steps

    image = Image.new("RGB", (16, 16))
    for quality in (1, 10, 49, 50, 51, 90, 100):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        written = Image.open(file).quantization
        for number, table in enumerate((LUMA, CHROMA)):
            ours = steps(table, torch.tensor([quality]), torch.zeros(1)).flatten().int().tolist()
            assert ours == list(written[number])


def test_other_numbers_of_channels_are_coded_as_grey():
    images = pictures(3, 5, (20, 28))
    op = get("jpeg")(p=1.0)
    params = op.sample(3, (20, 28), generator())
    together = op.apply(images, params)
    for c in range(5):
        assert torch.equal(together[:, c : c + 1], op.apply(images[:, c : c + 1], params))
