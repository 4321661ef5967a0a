"""Our optimisers are torch's, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import ablate
from ablate.training import eager

OPTIONS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "fused": True},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1, "fused": True},
    "LBFGS": {"max_iter": 5, "line_search_fn": "strong_wolfe"},
}


def problem(package, name):
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    return layer, getattr(package, name)(layer.parameters(), **OPTIONS[name])


def steps(layer, optimiser, count):
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))

    def closure():
        optimiser.zero_grad()
        loss = (layer(x).exp() - 1).square().mean()
        with torch.enable_grad():
            loss.backward()
        return loss

    for _ in range(count):
        optimiser.step(closure if isinstance(optimiser, torch.optim.LBFGS) else None)
        closure()


@pytest.mark.parametrize("name", OPTIONS)
def test_the_updates_are_torchs(name):
    ours, theirs = problem(eager, name), problem(torch.optim, name)
    for made in (ours, theirs):
        steps(*made, 4)
    assert torch.equal(ours[0].weight, theirs[0].weight)
    assert torch.equal(ours[0].bias, theirs[0].bias)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_state_goes_on_in_another_optimiser(name):
    whole, (layer, first), (copy, second) = (problem(eager, name) for _ in range(3))
    steps(*whole, 6)
    steps(layer, first, 3)
    copy.load_state_dict(layer.state_dict())
    second.load_state_dict(first.state_dict())
    for mine, its in zip(copy.parameters(), layer.parameters(), strict=True):
        mine.grad = its.grad
    steps(copy, second, 3)
    assert torch.equal(copy.weight, whole[0].weight)


def test_nothing_else_uses_torchs_optimisers():
    """They import torch.compile: where one is needed, it belongs into ``eager``."""
    sources = Path(ablate.__file__).parent.rglob("*.py")
    assert [path.stem for path in sources if "torch.optim." in path.read_text()] == ["eager"]
