"""LiDAR against its definition in NumPy, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablate.evaluation import lidar as module
from ablate.evaluation.label_free import alignment
from ablate.evaluation.lidar import discriminant_rank, lidar
from ablate.evaluation.protocols import default_protocols, evaluate
from tests.evaluation.conftest import data_set, freeze, pixels


def oracle(features):
    """Thilak et al. 2023, section 4, image by image, with a matrix square root."""
    x = features.double().numpy()
    n, q, d = x.shape
    centres = np.stack([image.mean(0) for image in x])
    grand = centres.mean(0)
    between = sum(np.outer(c - grand, c - grand) for c in centres) / (n - 1)
    within = sum(np.outer(v - c, v - c) for image, c in zip(x, centres, strict=True) for v in image) / (n * (q - 1))
    values, vectors = np.linalg.eigh(within + 1e-4 * np.eye(d))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    found = np.clip(np.linalg.eigvalsh(root @ between @ root), 0, None)
    p = found / found.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(60, 4, 12), (9, 3, 16)])
def test_against_its_definition(shape):
    features = normal(*shape) * torch.logspace(0, -2, shape[2]) + 3 * normal(shape[0], 1, shape[2], seed=1)
    assert discriminant_rank(features) == pytest.approx(oracle(features), rel=1e-6)


def test_only_directions_that_tell_images_apart_count():
    """Sixteen strong directions, of which three tell images apart: RankMe would see sixteen."""
    noise = normal(500, 6, 16)
    noise[..., :3] *= 0.01
    told = noise.clone()
    told[..., :3] += normal(500, 1, 3, seed=1)
    assert discriminant_rank(told) == pytest.approx(3, abs=0.1)
    collapsed = torch.ones(50, 4, 8)
    assert discriminant_rank(collapsed) == pytest.approx(1, abs=1e-4)


def test_views_are_those_of_every_trial(stripes, monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 40)
    one = lidar(freeze(stripes, pixels(), torch.nn.Identity(), composition="crop", seed=0), "h")
    other = lidar(freeze(stripes, pixels(), torch.nn.Identity(), composition="noise", seed=3), "h")
    assert one == other
    assert "40 training images" in one.description
    assert "10 views of each by crop+color" in one.description
    head = torch.nn.Linear(192, 5)
    z = lidar(freeze(stripes, pixels(), head), "z")
    alone = lidar(freeze(stripes, torch.nn.Sequential(pixels(), head), torch.nn.Identity()), "h")
    assert z.metrics["lidar"] == pytest.approx(alone.metrics["lidar"], rel=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_images_of_other_channels_are_judged_on_crop_and_intensity(channels):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (30, channels, 16, 16), dtype=torch.uint8, generator=generator)
    y = torch.full((30,), -1)
    data = data_set((images, y), (images, y), torch.arange(30) % 2 == 0, 0)
    frozen = freeze(data, pixels(), torch.nn.Identity(), composition="crop")
    found = evaluate(frozen, default_protocols(data))
    assert {"common_alignment", "common_uniformity", "rankme"} <= found.metrics.keys()
    assert "by crop+intensity" in alignment(frozen, "h").description
    assert lidar(frozen, "h").metrics["lidar"] > 1
