"""RankMe, alignment and uniformity against their definitions in float64, and where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ablate.evaluation import label_free as module
from ablate.evaluation.label_free import align, alignment, rank, rankme, uniform
from ablate.evaluation.protocols import default_protocols, evaluate
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed
from tests.evaluation.conftest import freeze


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("shape", [(500, 32), (20, 32), (3000, 8)])
def test_rank_against_the_singular_values(shape):
    features = normal(*shape) * torch.logspace(0, -3, shape[1])
    sigma = torch.linalg.svdvals(features.double())
    p = sigma / sigma.sum() + 1e-7
    assert rank(features) == pytest.approx(math.exp(-(p * p.log()).sum()), rel=1e-5)


@pytest.mark.parametrize("k", [1, 3, 16])
def test_k_equally_strong_directions_have_rank_k(k):
    basis, _ = torch.linalg.qr(normal(64, k))
    rows, _ = torch.linalg.qr(normal(2000, k, seed=1))
    assert rank(rows @ basis.T) == pytest.approx(k, rel=1e-3)


def test_rank_does_not_depend_on_scale():
    features = normal(300, 16)
    assert rank(1000 * features) == pytest.approx(rank(features), rel=1e-5)


def test_rankme_looks_at_the_images_trained_on(stripes, monkeypatch):
    monkeypatch.setattr(module, "RANKME_IMAGES", 40)
    more = replace(stripes, pretrain=stripes.test)
    assert "60 un-augmented" not in rankme(freeze(stripes), "h").description
    frozen = freeze(more)
    monkeypatch.setattr(module, "RANKME_IMAGES", 60)
    assert rankme(frozen, "h").metrics == {"rankme": rank(frozen.test()[0])}
    assert rankme(frozen, "z").metrics == {"rankme": rank(frozen.test("z")[0])}


def test_alignment_and_uniformity_against_a_double_loop():
    x, y = unit(normal(70, 6)), unit(normal(70, 6, seed=1))
    a, b = x.double(), y.double()
    assert align(x, y) == pytest.approx(sum(float((a[i] - b[i]).norm() ** 2) for i in range(70)) / 70, rel=1e-6)
    pairs = [math.exp(-2 * float((a[i] - a[j]).norm() ** 2)) for i in range(70) for j in range(i)]
    assert uniform(x) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)


def test_uniformity_in_chunks(monkeypatch):
    x = unit(normal(250, 6))
    whole = uniform(x)
    monkeypatch.setattr(module, "CHUNK", 32)
    assert uniform(x) == pytest.approx(whole, rel=1e-6)
    assert whole == pytest.approx(float(torch.pdist(x.double()).square().mul(-2).exp().mean().log()), rel=1e-5)


def test_known_cases():
    x = unit(normal(4000, 64))
    assert align(x, x) == 0
    assert align(x, -x) == pytest.approx(4)
    assert uniform(x[:1].repeat(50, 1)) == pytest.approx(0, abs=1e-5)  # collapsed
    # spread evenly over a sphere of many dimensions, distances squared are 2, with variance 4/d
    assert uniform(x) == pytest.approx(-4 + 2 * 4 / 64, abs=0.02)
    clustered = unit(x + 3 * unit(normal(1, 64, seed=1)))
    assert uniform(clustered) > uniform(x) + 0.5


@pytest.mark.parametrize("composition", ["none", "crop+color", "cutout", "noise+blur"])
@pytest.mark.parametrize("branches", ["one", "two"])
def test_positive_pairs_are_the_same_for_every_trial(stripes, branches, composition):
    """On one encoder no composition is better aligned than another: on its own pairs the weakest would be."""
    base = {} if branches == "one" else {"base": None}
    frozen = freeze(stripes, branches=branches, composition=composition, **base, seed=5)
    pair = TransformPair.two_branch("crop+color", 16)
    views = pair(stripes.test.images.pixels, Streams(derive_seed(0, "evaluation/alignment"), 0, "cpu"))
    x, y = (unit(frozen.encoder.eval()(view).detach().double()) for view in views)
    found = alignment(frozen, "h")
    assert found.metrics["common_alignment"] == pytest.approx(float((x - y).square().sum(1).mean()), rel=1e-4)
    spread = [float(torch.pdist(v).square().mul(-2).exp().mean().log()) for v in (x, y)]
    assert found.metrics["common_uniformity"] == pytest.approx(sum(spread) / 2, rel=1e-4)
    assert "by crop+color with default parameters, the same for every trial" in found.description


def test_what_is_run_without_labels(stripes):
    unlabelled = replace(stripes, classes=())
    unlabelled.train.labels.fill_(-1)
    unlabelled.test.labels.fill_(-1)
    assert default_protocols(stripes) == ("linear", "knn")
    found = evaluate(freeze(unlabelled), default_protocols(unlabelled))
    assert set(found.metrics) == {
        "rotation_top1",
        "rotation_val_top1",
        "rankme",
        "common_alignment",
        "common_uniformity",
    }
    turned = evaluate(freeze(unlabelled, composition="rotate"), default_protocols(unlabelled))
    assert set(turned.metrics) == {"rankme", "common_alignment", "common_uniformity"}
    assert turned.flags == ("rotation-not-applicable",)
