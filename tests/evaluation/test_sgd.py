"""The paper's SGD protocol: against a plain loop, against L-BFGS, and what it must leave alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ablate.evaluation import sgd as module
from ablate.evaluation.accuracy import scores
from ablate.evaluation.linear import linear
from ablate.evaluation.sgd import sgd
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed, stream
from tests.evaluation.conftest import freeze, pixels
from tests.support.digits import digits


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(module, "EPOCHS", 5)


def plain_loop(frozen, epochs, batch):
    """Nesterov's momentum, the cosine and the loss's gradient, written out in float64."""
    images, labels = frozen.data.train.images.pixels, frozen.data.train.labels
    seed = derive_seed(frozen.seed, "evaluation/sgd")
    pair = TransformPair.two_branch("crop(area=(0.08,1.0),flip_p=0.5)", 16)
    test_h = frozen.features(frozen.data.test, torch.arange(60)).double()
    weight = torch.zeros(test_h.shape[1] + 1, 3, dtype=torch.float64)
    velocity = torch.zeros_like(weight)
    steps = len(labels) // batch
    for epoch in range(epochs):
        streams = Streams(seed, epoch, "cpu")
        order = torch.randperm(len(labels), generator=stream(seed, "order", epoch))
        for step in range(steps):
            index = order[step * batch : (step + 1) * batch]
            view, _ = pair(images[index], streams)
            h = frozen.encoder.eval()(view).detach().double()
            h = torch.cat([h, torch.ones(batch, 1).double()], 1)
            error = (h @ weight).softmax(1) - F.one_hot(labels[index], 3)
            gradient = h.T @ error / batch
            rate = 0.1 * batch / 256 * 0.5 * (1 + math.cos(math.pi * (epoch * steps + step) / (epochs * steps)))
            velocity = 0.9 * velocity + gradient
            weight = weight - rate * (gradient + 0.9 * velocity)
    return torch.cat([test_h, torch.ones(60, 1).double()], 1) @ weight


@pytest.mark.parametrize("batch", [256, 50])
def test_against_a_plain_loop(stripes, monkeypatch, short, batch):
    """With more images than a batch, and with fewer."""
    monkeypatch.setattr(module, "BATCH", batch)
    made = []
    zeros = module.ZeroLinear
    monkeypatch.setattr(module, "ZeroLinear", lambda *args, **kwargs: made.append(zeros(*args, **kwargs)) or made[-1])
    frozen = freeze(stripes, pixels(), torch.nn.Identity())
    outcome = sgd(frozen, "h")
    logits = plain_loop(frozen, epochs=5, batch=min(batch, 120))
    torch.testing.assert_close(made[0](frozen.test()[0]).double(), logits, rtol=1e-4, atol=1e-5)
    assert outcome.metrics == scores("sgd", logits.argmax(1), stripes.test.labels, 3)
    assert f"batch {min(batch, 120)}" in outcome.description


def test_it_comes_near_l_bfgs_where_crops_do_no_harm(monkeypatch):
    """On pixels of digits, the crop replaced by one that takes nearly the whole image and does not flip."""
    plain = TransformPair.two_branch
    monkeypatch.setattr(
        module.TransformPair, "two_branch", lambda _, size: plain("crop(area=(0.9,1.0),flip_p=0.0)", size)
    )
    frozen = freeze(digits(), pixels(), torch.nn.Identity())
    ours, exact = sgd(frozen, "h").metrics["sgd_top1"], linear(frozen, "h").metrics["linear_top1"]
    assert exact > 0.9
    assert abs(ours - exact) < 0.06


def test_the_encoder_is_frozen(stripes, short):
    """No gradient, no change of weights or statistics, training mode as before, no global randomness."""
    frozen = freeze(stripes)
    frozen.encoder.train()
    before = {name: value.clone() for name, value in frozen.encoder.state_dict().items()}
    random_state = torch.get_rng_state()
    sgd(frozen, "h")
    sgd(frozen, "z")
    assert [p.grad for p in (*frozen.encoder.parameters(), *frozen.head.parameters()) if p.grad is not None] == []
    assert all(torch.equal(before[name], value) for name, value in frozen.encoder.state_dict().items())
    assert all(m.training for m in frozen.encoder.modules())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_its_draws_belong_to_the_seed_and_to_no_training_stream(stripes, short, monkeypatch):
    seen = []
    first_view = TransformPair.first_view
    monkeypatch.setattr(module.TransformPair, "first_view", lambda *args: seen.append(first_view(*args)) or seen[-1])
    views = []
    for seed in (0, 0, 1):
        seen.clear()
        sgd(freeze(stripes, seed=seed), "h")
        views.append(torch.stack(seen))
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0][0], views[0][1])  # nor are two epochs alike
    order = torch.randperm(120, generator=stream(0, "order", 0))
    training = TransformPair.two_branch("crop", 16)(stripes.train.images.pixels[order], Streams(0, 0, "cpu"))[0]
    assert not torch.equal(views[0][0], training)


def test_only_labelled_images_are_used(stripes, short):
    some = torch.arange(120) % 2 == 0
    partly = replace(stripes, train=replace(stripes.train, labels=stripes.train.labels.where(some, -1)))
    assert "all 60 labelled training images" in sgd(freeze(partly), "h").description
