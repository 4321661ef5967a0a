"""Fine-tuning: against a plain loop, its settings, and what it must leave alone."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ablate.config.encoder import Encoder
from ablate.distributed import World
from ablate.errors import Interrupted, UsageError
from ablate.evaluation import finetune as module
from ablate.evaluation.few_labels import few_labels
from ablate.evaluation.finetune import Plan, finetune, plan_for, tune
from ablate.evaluation.protocols import evaluate, flags_of, parse_protocols
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed
from ablate.training.encoder import build_encoder
from ablate.training.global_bn import GlobalBatchNorm, alone, make_global
from ablate.training.probe import ZeroLinear
from tests.evaluation.conftest import freeze


@pytest.fixture
def short(monkeypatch):
    """Four steps of sixteen images."""
    monkeypatch.setattr(module, "plan_for", lambda *_: Plan(4, 16, 0.05, "a test"))


def tiny(seed=0, dtype=torch.float64):
    """An encoder with a batch norm and 3 dimensions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3), nn.ReLU()).to(dtype)


def plain_loop(encoder, batches, plan):
    """The gradient by hand behind the encoder, and Nesterov's momentum and the cosine written out, in float64."""
    weight, bias = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    tensors = [*encoder.parameters(), weight, bias]
    velocity = [torch.zeros_like(tensor) for tensor in tensors]
    encoder.train()
    for step, (views, labels) in enumerate(batches):
        h = encoder(views)
        error = ((h @ weight.T + bias).softmax(1) - torch.eye(2, dtype=torch.float64)[labels]).detach() / len(views)
        gradients = [*torch.autograd.grad((h * (error @ weight)).sum(), list(encoder.parameters()))]
        gradients += [error.T @ h.detach(), error.sum(0)]
        rate = plan.lr * 0.5 * (1 + math.cos(math.pi * step / plan.steps))
        with torch.no_grad():
            for tensor, v, gradient in zip(tensors, velocity, gradients, strict=True):
                v.mul_(0.9).add_(gradient)
                tensor.sub_(rate * (gradient + 0.9 * v))
    return weight, bias


def test_against_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    plan = Plan(steps=20, batch=8, lr=0.3, source="a test")
    batches = [
        (torch.randn(8, 3, 2, 2, generator=generator, dtype=torch.float64), torch.arange(8) % 2) for _ in range(20)
    ]
    ours, other, classifier = tiny(), tiny(), ZeroLinear(3, 2).double()
    tune(ours, classifier, plan, batches, 0, torch.autocast("cpu", enabled=False))
    weight, bias = plain_loop(other, batches, plan)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(classifier.weight.data, weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(classifier.bias.data, bias, rtol=1e-10, atol=1e-12)
    assert not torch.equal(ours[1].weight, tiny()[1].weight)


def test_batches_are_crops_and_flips_of_labelled_images_outside_the_validation_split(stripes):
    frozen = freeze(stripes, seed=2)
    pool = (few_labels(stripes, 10, 2) & ~stripes.val_mask).nonzero()[:, 0]
    drawn = list(module._batches(frozen, pool, Plan(3, 16, 0.1, ""), seed=7))
    labels = torch.cat([labels for _, labels in drawn])
    assert [len(views) for views, _ in drawn] == [16, 16, 16]
    assert labels[:9].bincount().tolist() == [3, 3, 3]  # the nine images once each, before one of them comes again
    streams, pair = Streams(7, 0, "cpu"), TransformPair.two_branch("crop(area=(0.08,1.0),flip_p=0.5)", 16)
    order = torch.cat([pool[torch.randperm(9, generator=module.stream(7, "order", n))] for n in range(6)])
    for step, (views, found) in enumerate(drawn):
        index = order[step * 16 : (step + 1) * 16]
        assert torch.equal(found, stripes.train.labels[index])
        assert torch.equal(views, pair.first_view(stripes.train.images.pixels[index], streams))


@pytest.mark.parametrize(("percent", "images"), [(100, 90), (10, 9), (1, 3)])
def test_what_it_records(stripes, short, percent, images):
    spec = parse_protocols(f"finetune:{percent}%")[0]
    found = evaluate(freeze(stripes), [spec])
    name = "finetune" if percent == 100 else f"finetune_{percent}pct"
    kinds = ("_top1", "_balanced_accuracy", "_val_top1", "_val_balanced_accuracy")
    assert set(found.metrics) == {f"{name}{kind}" for kind in kinds}
    assert f"{images} images, {images // 3} of each class; 4 steps of SGD" in found.protocols[spec]


def test_it_learns(stripes):
    """Within its usual settings, from an untrained encoder: a third would be chance."""
    found = finetune(freeze(stripes), "h").metrics
    assert found["finetune_top1"] > 0.6


def test_the_encoder_stays_as_it_is_and_the_outcome_is_the_same_again(stripes):
    """Weights, statistics, gradients, mode and global random numbers."""
    encoder = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, 4), nn.BatchNorm1d(4), nn.ReLU())
    frozen = freeze(stripes, encoder.train())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features, random_state = frozen.test()[0].clone(), torch.get_rng_state()
    asked = torch.arange(90), torch.arange(30), Plan(4, 16, 0.05, "a test")
    first = module._logits(frozen, *asked)
    assert torch.equal(torch.get_rng_state(), random_state)
    torch.manual_seed(99)
    again, other = module._logits(frozen, *asked), module._logits(replace(frozen, seed=5), *asked)
    assert [len(logits) for logits in first] == [60, 30]
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())
    assert encoder[1].training
    assert torch.equal(frozen.test()[0], features)


def test_labels_of_validation_and_test_images_teach_nothing(stripes, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "tune", lambda *args: seen.append([*args[3]]))
    others = replace(
        stripes,
        train=replace(stripes.train, labels=stripes.train.labels.where(~stripes.val_mask, 0)),
        test=replace(stripes.test, labels=torch.zeros_like(stripes.test.labels)),
    )
    for data in (stripes, others):
        finetune(freeze(data), "h")
    for (views, labels), (same, alike) in zip(*seen, strict=True):
        assert torch.equal(views, same)
        assert torch.equal(labels, alike)


def test_it_stops_between_two_steps(stripes, short):
    asked = []

    def stop():
        asked.append(1)
        if len(asked) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        finetune(replace(freeze(stripes), stop_if_asked=stop), "h")
    assert len(asked) == 3


def test_an_encoder_that_diverges_is_flagged_and_other_protocols_stay(stripes, monkeypatch):
    monkeypatch.setattr(module, "plan_for", lambda *_: Plan(4, 16, 1e30, "a test"))
    found = evaluate(freeze(stripes), ["knn", "finetune:10%"])
    assert set(found.metrics) == {"knn_top1", "knn_balanced_accuracy"}
    assert found.flags == flags_of("finetune:10%") == ("finetune-10pct-diverged",)


@pytest.mark.parametrize(
    ("size", "images", "percent", "settings", "expected"),
    [
        (224, 12_811, 1, {"batch_size": 256}, (60 * 12_811 // 256, 256, 0.05)),
        (224, 128_116, 10, {"batch_size": 4096}, (30 * 128_116 // 256, 256, 0.05)),
        (224, 1_281_167, 100, {"batch_size": 256, "micro_batch": 32}, (30 * 1_281_167 // 64, 64, 0.0125)),
        (32, 4500, 100, {"batch_size": 32}, (10 * 4500 // 64, 64, 0.05)),
        (32, 450, 10, {"batch_size": 32}, (30 * 450 // 64, 64, 0.05)),
        (32, 3, 1, {"batch_size": 32}, (30, 64, 0.05)),
    ],
)
def test_the_settings(stripes, size, images, percent, settings, expected):
    config = freeze(stripes).config.replace(image_size=size, **settings)
    plan = plan_for(config, images, percent)
    assert (plan.steps, plan.batch, plan.lr) == expected
    assert ("app. B.5" in plan.source) == (size == 224)


def test_it_is_evaluated_at_h_only():
    with pytest.raises(UsageError, match="'finetune:1%' cannot be evaluated at 'z'; allowed: finetune:1%@h"):
        parse_protocols("finetune:1%@z")
    assert parse_protocols("finetune:100%,finetune@h") == ("finetune",)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_copy_of_an_encoder_of_several_processes_waits_for_none(device):
    """The kind of device alone matters: there is none here. A collective would fail without a process group."""
    plain = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3)))
    shared = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3)))
    shared.load_state_dict(plain.state_dict())
    make_global(shared, World(0, 2, store=contextlib.nullcontext(iter(()))), torch.device(device))
    copied, x = alone(shared), torch.randn(6, 4)
    torch.testing.assert_close(copied.train()(x), plain.train()(x))
    assert isinstance(copied[1], GlobalBatchNorm)
    assert copied[1].weight is not shared[1].weight
    assert shared[1].num_batches_tracked == 0


def test_what_training_keeps_as_it_was_given_stays_so():
    """Frozen stages with their statistics, by the encoder's own ``train``; the rest is trained."""
    config = Encoder(name="resnet8", width=4, init="sha256 0123456789abcdef", frozen_stages=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = build_encoder(config, 16)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    batches = [(torch.rand(8, 3, 16, 16), torch.arange(8) % 2)] * 3
    tune(encoder, ZeroLinear(16, 2), Plan(3, 8, 0.1, ""), batches, 0, torch.autocast("cpu", enabled=False))
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {name for name in before if not name.startswith("stem.")}


def test_draws_of_an_encoder_belong_to_seed_and_step():
    seen = []

    class Drawing(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            seen.append(torch.rand(1).item())
            return self.linear(x)

    batches = [(torch.ones(2, 2), torch.tensor([0, 1]))] * 2
    with torch.random.fork_rng(devices=[]):
        tune(Drawing(), ZeroLinear(2, 2), Plan(2, 2, 0.1, ""), batches, 11, torch.autocast("cpu", enabled=False))
        expected = [
            torch.rand(1, generator=torch.Generator().manual_seed(derive_seed(11, "encoder", n))) for n in (0, 1)
        ]
    assert seen == [value.item() for value in expected]
