"""Encoder, head, schedule, optimiser."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import nn

from ablate.config.encoder import Encoder
from ablate.config.trial import Head, Optimiser
from ablate.training.encoder import build_encoder
from ablate.training.head import ProjectionHead
from ablate.training.optim import build_optimiser
from ablate.training.residual import ResNet
from ablate.training.resnets import BLOCKS
from ablate.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("name", "width", "dim"),
    [
        ("resnet8", 64, 256),
        ("resnet18", 64, 512),
        ("resnet34", 64, 512),
        ("resnet50", 64, 2048),
        ("resnet101", 64, 2048),
        ("resnet18", 128, 1024),
        ("resnet50", 128, 4096),
    ],
)
def test_encoders_give_pooled_representations(name, width, dim):
    encoder = build_encoder(Encoder(name=name, width=width), 32)
    h = encoder(torch.rand(2, 3, 32, 32))
    assert h.shape == (2, dim)
    assert encoder.dim == dim


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "resnet101" else ()) for name in BLOCKS]
)
def test_resnets_are_torchvisions_to_the_bit(name):
    """Same names, same weights from the same draws, same representations and gradients."""
    built = []
    for build in (getattr(torchvision.models, name), lambda: ResNet(*BLOCKS[name], width=64)):
        torch.manual_seed(0)
        net = build()
        net.fc = nn.Identity()
        initial = {key: value.clone() for key, value in net.state_dict().items()}
        drawn, h = torch.rand(()), net(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
        h.square().sum().backward()
        gradients = {key: parameter.grad for key, parameter in net.named_parameters()}
        built.append(
            {"drawn": drawn, "h": h} | initial | {f"gradient of {key}": grad for key, grad in gradients.items()}
        )
    theirs, ours = built
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize(("width", "millions"), [(128, 93.9), (256, 375.0)])
def test_parameters_of_the_wide_resnet50_are_the_papers(width, millions):
    """94 M and 375 M (paper, table 6), without the classifier."""
    with torch.device("meta"):
        encoder = build_encoder(Encoder(name="resnet50", width=width), 224)
    count = sum(p.numel() for name, p in encoder.named_parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


def test_initial_weights_of_a_wide_resnet_are_hes():
    conv = build_encoder(Encoder(name="resnet18", width=128), 32).net.layer3[0].conv1
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (conv.out_channels * 9)), rel=0.02)


@pytest.mark.parametrize(
    ("head", "shapes"),
    [
        (Head(kind="none", hidden=7, output=3), []),
        (Head(kind="linear", hidden=7, output=3), [(3, 5)]),
        (Head(hidden=7, output=3), [(7, 5), (3, 7)]),
        (Head(hidden=7, output=3, layers=3), [(7, 5), (7, 7), (3, 7)]),
    ],
)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_heads(head, shapes, batch_norm):
    module = ProjectionHead(5, head.model_copy(update={"batch_norm": batch_norm}))
    linears = [m for m in module.layers if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in linears] == shapes
    assert all((m.bias is None) == batch_norm for m in linears)
    norms = [m for m in module.layers if isinstance(m, nn.BatchNorm1d)]
    assert len(norms) == (len(shapes) if batch_norm else 0)
    assert [m.bias.requires_grad for m in norms] == [True, True, False][3 - len(norms) :]
    h = torch.randn(4, 5)
    assert module(h).shape == (4, module.dim) == (4, 3 if shapes else 5)
    if not shapes:
        assert torch.equal(module(h), h)


@pytest.mark.parametrize(
    ("name", "width", "blocks"), [("resnet8", 4, 3), ("resnet18", 64, 8), ("resnet18", 128, 8), ("resnet50", 64, 16)]
)
def test_residual_blocks_start_as_their_shortcuts_where_asked(name, width, blocks):
    """The last batch norm of each block, and nothing else, starts with a scale of 0; the draws stay the same."""
    usual, zeroed = (seeded_encoder(Encoder(name=name, width=width, zero_init_residual=zero)) for zero in (False, True))
    changed = [key for key, value in usual.items() if not torch.equal(value, zeroed[key])]
    assert len(changed) == blocks
    assert all(key.endswith("bn3.weight" if name == "resnet50" else "bn2.weight") for key in changed)
    assert all((zeroed[key] == 0).all() and (usual[key] == 1).all() for key in changed)


def seeded_encoder(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build_encoder(config, 32).state_dict()


def test_the_stem_depends_on_the_image_size():
    small, large = build_encoder(Encoder(name="resnet18"), 64).net, build_encoder(Encoder(name="resnet18"), 96).net
    assert small.conv1.stride == (1, 1)
    assert small.conv1.kernel_size == (3, 3)
    assert isinstance(small.maxpool, nn.Identity)
    assert large.conv1.stride == (2, 2)
    assert isinstance(large.maxpool, nn.MaxPool2d)


def test_resnet8_has_eight_layers_but_the_classifier_and_no_width_elsewhere():
    encoder = build_encoder(Encoder(name="resnet8", width=16), 32)
    assert encoder.dim == 64
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in encoder.modules()) == 7
    with pytest.raises(ValidationError, match="width of resnet18 must be 64 or 128 or 256, not 32"):
        Encoder(name="resnet18", width=32)


def test_head_is_the_papers_equation():
    head = ProjectionHead(5, Head(hidden=7, output=3))
    h = torch.randn(4, 5)
    first, _, second = head.layers
    expected = torch.relu(h @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(head(h), expected)


def test_schedule():
    rates = [learning_rate(step, 100, 10, 2.0) for step in range(100)]
    assert rates[9] == 2.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] == 0.2
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(1.0)  # half way down
    assert 0 < rates[99] < 0.001
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) <= 0.2 + 1e-9
    assert learning_rate(0, 10, 0, 1.0) == 1.0


def test_sgd_and_adamw_against_a_float64_loop():
    """Five steps on a quadratic; the bias, a vector, is not decayed."""
    for name in ("sgd", "adamw"):
        config = Optimiser(name=name, lr=0.1, momentum=0.9, weight_decay=0.01)
        module = nn.Linear(3, 2).double()
        start = {n: p.detach().clone() for n, p in module.named_parameters()}
        optimiser = build_optimiser(config, module)
        for _ in range(5):
            optimiser.zero_grad()
            sum((p**2).sum() / 2 for p in module.parameters()).backward()
            optimiser.step()
        for key, value in module.named_parameters():
            decay = config.weight_decay if value.ndim > 1 else 0.0
            expected = reference(name, start[key], config, decay)
            torch.testing.assert_close(value.detach(), expected, atol=1e-12, rtol=0)


def reference(name, x, config, decay):
    m = v = torch.zeros_like(x)
    for t in range(1, 6):
        g = x.clone()
        if name == "sgd":
            m = config.momentum * m + g + decay * x
            x = x - config.lr * m
            continue
        x = x * (1 - config.lr * decay)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - config.lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return x


def test_nothing_is_optimised_twice_or_left_out():
    encoder = build_encoder(Encoder(name="resnet8", width=4), 32)
    optimiser = build_optimiser(Optimiser(), encoder)
    ids = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in encoder.parameters())
    assert math.isclose(optimiser.param_groups[1]["weight_decay"], 0.0)


@pytest.mark.parametrize("size", [5, 8])
def test_a_narrow_shortcut_is_the_strided_convolution(size):
    shortcut = next(m for m in build_encoder(Encoder(name="resnet8", width=4), 32).modules() if is_1x1(m))
    shortcut = shortcut.double()
    plain = nn.Conv2d(4, 8, 1, 2, bias=False).double()
    plain.load_state_dict(shortcut.state_dict())
    for module in (shortcut, plain):
        module.input = torch.randn(3, 4, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        module.input.requires_grad_()
        module.output = module(module.input)
        module.output.square().sum().backward()
    torch.testing.assert_close(shortcut.output, plain.output)
    torch.testing.assert_close(shortcut.input.grad, plain.input.grad)
    torch.testing.assert_close(shortcut.weight.grad, plain.weight.grad)


def is_1x1(module):
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
