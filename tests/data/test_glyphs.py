from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ablate.data import prepare
from ablate.data.sources.glyphs import render
from ablate.errors import UsageError
from ablate.rng import stream


@pytest.fixture(scope="module")
def glyphs(cache):
    return prepare("glyphs", cache=cache, image_size=32)


def colour_statistics(images):
    """Per-channel mean and deviation, an 8-bin histogram per channel and a joint one of 4 x 4 x 4 colours."""
    x = images.float() / 255
    channels = [((x * 8).long().clamp(0, 7) == b).float().mean((2, 3)) for b in range(8)]
    quarters = (x * 4).long().clamp(0, 3)
    joint = quarters[:, 0] * 16 + quarters[:, 1] * 4 + quarters[:, 2]
    colours = torch.zeros(len(x), 64).scatter_add_(1, joint.flatten(1), torch.ones(len(x), 1024)) / 1024
    return torch.cat([x.mean((2, 3)), x.std((2, 3)), *channels, colours], 1).numpy()


def test_colour_says_nothing_about_the_label(glyphs):
    train, test = colour_statistics(glyphs.train.images.pixels), colour_statistics(glyphs.test.images.pixels)
    scaler = StandardScaler().fit(train)
    for strength in (0.01, 1.0):
        model = LogisticRegression(C=strength, solver="newton-cholesky").fit(
            scaler.transform(train), glyphs.train.labels
        )
        assert model.score(scaler.transform(test), glyphs.test.labels) <= 0.15  # chance is 0.10


def test_the_digit_can_be_read_all_the_same(glyphs):
    """Not noise: a nearest neighbour on ink-like contrast beats chance by far."""
    grey = glyphs.train.images.pixels.float().amax(1).flatten(1)
    query = glyphs.test.images.pixels[:500].float().amax(1).flatten(1)
    nearest = torch.cdist(query, grey).argmin(1)
    assert (glyphs.train.labels[nearest] == glyphs.test.labels[:500]).float().mean() > 0.3


def test_sizes_classes_and_types(glyphs):
    assert glyphs.train.images.pixels.shape == (4096, 3, 32, 32)
    assert glyphs.test.images.pixels.shape == (2000, 3, 32, 32)
    assert glyphs.train.images.pixels.dtype == torch.uint8
    assert glyphs.classes == tuple("0123456789")
    assert glyphs.pretrain is glyphs.train or torch.equal(glyphs.pretrain.labels, glyphs.train.labels)
    assert glyphs.train.labels.bincount().min() > 350


def test_source_digits_are_disjoint_and_labels_are_theirs(glyphs):
    target = torch.from_numpy(load_digits().target).long()
    train, val, test = (
        set(groups.tolist())
        for groups in (
            glyphs.train.groups[~glyphs.val_mask],
            glyphs.train.groups[glyphs.val_mask],
            glyphs.test.groups,
        )
    )
    assert not train & val
    assert not (train | val) & test
    assert torch.equal(target[glyphs.train.groups], glyphs.train.labels)
    assert torch.equal(target[glyphs.test.groups], glyphs.test.labels)
    assert 0.1 < glyphs.val_mask.float().mean() < 0.2


def test_the_same_digit_is_rendered_differently_each_time():
    digit = torch.from_numpy(load_digits().images[:1] / 16).repeat(2, 1, 1)
    first, second = render(digit, stream(0, "test"))
    assert (first != second).float().mean() > 0.5
    assert torch.equal(render(digit, stream(0, "test"))[0], first)


def test_the_rendering_seed_changes_pixels_and_fingerprint_but_not_the_split(cache, glyphs):
    other = prepare("glyphs:1", cache=cache, image_size=32)
    assert other.fingerprint != glyphs.fingerprint
    assert not torch.equal(other.train.images.pixels, glyphs.train.images.pixels)
    assert torch.equal(other.train.groups, glyphs.train.groups)
    assert torch.equal(other.val_mask, glyphs.val_mask)


def test_golden_pixels(glyphs):
    """The committed results were made with these images."""
    assert glyphs.fingerprint == "ce3a09023397bfea11f58e12"
    pixels = glyphs.train.images.pixels
    assert pixels[:4].double().mean().item() == pytest.approx(83.0990, abs=1e-3)
    assert np.array_equal(pixels[7, :, 16, 16].numpy(), [17, 61, 57])


def test_what_is_in_the_cache_needs_no_scikit_learn(cache, glyphs, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # importing it would fail
    assert prepare("glyphs", cache=cache, image_size=32).identity == glyphs.identity


def test_a_bad_rendering_seed(cache):
    with pytest.raises(UsageError, match="glyphs:7"):
        prepare("glyphs:blue", cache=cache, image_size=32)
