"""LARS against its definition, one number at a time."""

from __future__ import annotations

import io
import math

import pytest
import torch
from torch import nn

from ablate.config.trial import Optimiser
from ablate.training.lars import LARS
from ablate.training.optim import build_optimiser
from ablate.training.schedule import learning_rate
from tests.ops.fake_cuda import fake_cuda

STEPS = 50


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).double()


def gradients(shapes, steps=STEPS):
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes] for _ in range(steps)]


def loop(weights, grads, rates, momentum, decay, eta):
    """The official code's update (lars_optimizer.py with classic momentum), in Python floats over flat lists."""
    weights = [w.flatten().tolist() for w in weights]
    adapted = [len(g.shape) > 1 for g in grads[0]]
    buffers = [[0.0] * len(w) for w in weights]
    for rate, step in zip(rates, grads, strict=True):
        for w, v, gradient, adapt in zip(weights, buffers, step, adapted, strict=True):
            g = gradient.flatten().tolist()
            ratio = 1.0
            if adapt:
                g = [a + decay * b for a, b in zip(g, w, strict=True)]
                w_norm, g_norm = math.sqrt(sum(a * a for a in w)), math.sqrt(sum(a * a for a in g))
                if w_norm > 0 and g_norm > 0:
                    ratio = eta * w_norm / g_norm
            for i in range(len(w)):
                v[i] = momentum * v[i] + rate * ratio * g[i]
                w[i] -= v[i]
    return weights


@pytest.mark.parametrize(("decay", "momentum", "eta"), [(1e-6, 0.9, 1e-3), (0.1, 0.9, 1e-3), (0.0, 0.0, 0.02)])
def test_fifty_steps_against_a_float64_loop(decay, momentum, eta):
    """With a rate that warms up and falls, so that it must be inside the momentum; a zero matrix has ratio 1."""
    net = module()
    nn.init.zeros_(net[2].weight)
    start = [p.detach().clone() for p in net.parameters()]
    grads = gradients([p.shape for p in net.parameters()])
    grads[7][0].zero_()
    rates = [learning_rate(step, STEPS, 10, 0.7) for step in range(STEPS)]
    optimiser = LARS(net.parameters(), lr=1.0, momentum=momentum, weight_decay=decay, eta=eta)
    for rate, step in zip(rates, grads, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        for p, g in zip(net.parameters(), step, strict=True):
            p.grad = g.clone()
        optimiser.step()
        assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), step, strict=True))  # left as they were
    expected = loop(start, grads, rates, momentum, decay, eta)
    for p, flat in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach().flatten(), torch.tensor(flat, dtype=torch.float64), atol=1e-12, rtol=0)


def test_biases_and_batch_norm_are_neither_decayed_nor_adapted():
    net = module()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    LARS(net.parameters(), lr=0.5, weight_decay=10.0).step()
    for name, p in net.named_parameters():
        moved = before[name] - p.detach()
        assert torch.allclose(moved, torch.tensor(0.5, dtype=torch.float64)) == (p.ndim == 1)


def test_a_parameter_without_gradient_stays():
    net = module()
    before = net[0].weight.detach().clone()
    net[2].weight.grad = torch.ones_like(net[2].weight)
    LARS(net.parameters(), lr=1.0).step()
    assert torch.equal(net[0].weight, before)


def test_it_resumes_from_a_checkpoint_bit_for_bit():
    nets = [module(), module()]
    grads = gradients([p.shape for p in nets[0].parameters()], 6)
    optimisers = [LARS(net.parameters(), lr=0.3) for net in nets]

    def steps(number, some):
        for step in some:
            for p, g in zip(nets[number].parameters(), step, strict=True):
                p.grad = g.clone()
            optimisers[number].step()

    steps(0, grads)
    steps(1, grads[:3])
    saved = io.BytesIO()
    torch.save({"net": nets[1].state_dict(), "optimiser": optimisers[1].state_dict()}, saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    nets[1] = module()
    nets[1].load_state_dict(state["net"])
    optimisers[1] = LARS(nets[1].parameters(), lr=9.0)
    optimisers[1].load_state_dict(state["optimiser"])
    steps(1, grads[3:])
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_it_waits_for_no_device():
    with fake_cuda():
        net = nn.Linear(4, 3, device="cuda")
        optimiser = LARS(net.parameters(), lr=0.1)
        for p in net.parameters():
            p.grad = torch.empty_like(p)
        optimiser.step()
        optimiser.step()


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"momentum": 1.5}, {"weight_decay": -1.0}, {"eta": 0.0}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="LARS needs"):
        LARS(module().parameters(), **{"lr": 0.1, **bad})


def test_a_closure_is_called_with_gradients_on():
    net = module()
    optimiser = LARS(net.parameters(), lr=0.1)

    def closure():
        optimiser.zero_grad()
        loss = net(torch.ones(2, 4, dtype=torch.float64)).sum()
        loss.backward()
        return loss

    assert torch.isfinite(optimiser.step(closure))


def test_the_configuration_builds_it():
    optimiser = build_optimiser(Optimiser(name="lars", lr=4.8, momentum=0.8, weight_decay=1e-6), module())
    assert isinstance(optimiser, LARS)
    group = optimiser.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"], group["eta"]) == (4.8, 0.8, 1e-6, 1e-3)
