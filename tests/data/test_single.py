"""Single images, read from the cache without torch, against the data set that trials see; and thumbnails of them."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.data import Resident, prepare
from ablate.data.entry import Writer
from ablate.data.place import META, ROWS, entry_of
from ablate.data.single import stored_images
from ablate.report.page.thumbnails import LARGEST, images_in_cache, sheet
from ablate.trial.colours import mixture, visible


@pytest.mark.parametrize("limit", [None, 16])
@pytest.mark.parametrize("name", ["glyphs", "folder"])
def test_single_images_are_those_of_the_trials(name, limit, cache, tiny_folder):
    data = prepare("glyphs" if name == "glyphs" else f"folder:{tiny_folder}", cache=cache, limit=limit)
    stored = stored_images(cache, data.fingerprint)
    assert stored is not None and stored.classes == data.classes
    for side, split in (("train", data.train), ("test", data.test)):
        for index in (0, len(split.labels) - 1):
            pixels, sizes = Resident(split.images, torch.device("cpu")).batch(torch.tensor([index]))
            height, width = pixels.shape[2:] if sizes is None else sizes[0].tolist()
            assert np.array_equal(stored.image(side, index), pixels[0, :, :height, :width].numpy())
            assert stored.label(side, index) == data.classes[split.labels[index]]


def test_what_the_cache_does_not_hold_is_none(cache):
    assert stored_images(cache, "0" * 24) is None
    limited = prepare("glyphs", cache=cache, limit=15)
    entry_of(cache, limited.fingerprint).joinpath(ROWS).unlink()
    assert stored_images(cache, limited.fingerprint) is None


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7])
def test_the_mixture_is_what_is_visible(channels):
    images = torch.rand(2, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("nchw,ck->nkhw", images, torch.tensor(mixture(channels)))
    assert torch.allclose(mixed, visible(images), atol=1e-6)


def test_a_sheet_has_thumbnails_in_order_and_fits(tmp_path, monkeypatch):
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    entry_of(tmp_path, "f").mkdir(parents=True)
    writer = Writer(entry_of(tmp_path, "f"))
    grey = np.repeat(np.arange(0, 50001, 10000, dtype=np.uint16), 60 * 80).reshape(6, 1, 60, 80)
    noise = np.random.default_rng(0).integers(0, 65535, (6, 1, 60, 80), dtype=np.uint16)
    for split, pixels in (("train", grey), ("test", noise)):
        writer.uniform(split, pixels, torch.zeros(6, dtype=torch.int64))
    writer.describe("grey", ["a"], torch.zeros(6, dtype=torch.bool))
    writer.close()
    assert json.loads((entry_of(tmp_path, "f") / META).read_text())["name"] == "grey"
    images = images_in_cache("f")

    def picture(made):
        return Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2])))

    made = sheet(images, [("train", number) for number in (5, 0, 3)], columns=2, most=10000)
    shown = picture(made)
    assert shown.size == (2 * LARGEST, 2 * LARGEST) and (made.columns, made.rows) == (2, 2)
    levels = [shown.getpixel((x, y))[0] for y in (24, 72) for x in (24, 72)]
    assert levels == pytest.approx([195, 0, 117, 255], abs=3)
    full, small = (sheet(images, [("test", n) for n in range(6)], 3, most) for most in (10**6, 7000))
    assert len(small.uri) < 4 / 3 * 7000 + 30 < len(full.uri)
