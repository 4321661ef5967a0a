"""The update of a step with learning rates as tensors, as on a GPU: the numbers are those of plain rates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ablate.config.trial import Optimiser
from ablate.distributed import ALONE
from ablate.training import optim, update
from ablate.training.objectives.registry import objective_of
from ablate.training.step import Result
from ablate.training.trainer import build_model
from ablate.training.update import Update
from tests.support.processes import config, of_objective

EXACT = ((0.046875, 0.0625), (0.015625, 0.03125), (0.25, 0.0078125))  # rates and paces that float32 holds
ROUNDED = ((0.1, 0.004), (0.03, 0.002), (1 / 3, 0.001))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """A number that changes is a tensor, on the CPU too."""

    def apply():
        for module in (optim, update):
            monkeypatch.setattr(module, "held", lambda value, device: torch.full((), value))

    return apply


def made(optimiser):
    cfg = config(1, optimiser=Optimiser(name=optimiser, lr=0.1, init_lr_scale=0.5), **of_objective("byol"))
    model = build_model(cfg, 3, 3)
    return Update(cfg, model, objective_of(cfg).target(model, ALONE), ALONE, None)


def updated(step, numbers):
    """All weights after updates with ``numbers``, from gradients that are the same each time."""
    generator = torch.Generator().manual_seed(1)
    for rate, pace in numbers:
        for p in step.model.parameters():
            p.grad = torch.randn(p.shape, generator=generator)
        step.prepare(0, rate, pace)
        step(Result(torch.empty(0), torch.empty(0), torch.empty(2)))
    return [p.detach() for part in (step.model, step.target) for p in part.parameters()]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lars"])
def test_rates_as_tensors_give_the_same_weights(optimiser, as_on_a_gpu):
    plain = [updated(made(optimiser), numbers) for numbers in (EXACT, ROUNDED)]
    as_on_a_gpu()
    assert isinstance(made(optimiser).optimiser.param_groups[0]["lr"], torch.Tensor)
    exact, rounded = (updated(made(optimiser), numbers) for numbers in (EXACT, ROUNDED))
    assert all(torch.equal(*pair) for pair in zip(exact, plain[0], strict=True))
    # a rate that float32 rounds is off by 6e-8 of itself, and so are the steps
    for ours, theirs in zip(rounded, plain[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lars"])
def test_an_earlier_checkpoint_continues_with_tensors(optimiser, as_on_a_gpu):
    """In it rates are plain numbers, and AdamW does not know that it may be captured."""
    plain = made(optimiser)
    updated(plain, EXACT[:2])
    state, weights = copy.deepcopy(plain.state()), copy.deepcopy([plain.model, plain.target])
    expected = updated(plain, EXACT)
    as_on_a_gpu()
    later = made(optimiser)
    for part, saved in zip((later.model, later.target), weights, strict=True):
        part.load_state_dict(saved.state_dict())
    for group in later.optimiser.param_groups:
        group["capturable"] = None  # another value than in the checkpoint, with the same updates
    later.restore(state)
    assert all(isinstance(group["lr"], torch.Tensor) for group in later.optimiser.param_groups)
    assert all(group["capturable"] is None for group in later.optimiser.param_groups)
    assert all(torch.equal(*pair) for pair in zip(updated(later, EXACT), expected, strict=True))


def test_the_prototypes_are_held_by_an_epoch_on_the_device():
    cfg = config(1, **of_objective("dino"))
    model, objective = build_model(cfg, 3, 3), objective_of(cfg)
    prototypes: nn.Parameter = model["head"].prototypes
    prototypes.grad = torch.full_like(prototypes, float("nan"))
    objective.hold(model, torch.tensor(0))
    assert not prototypes.grad.any()
    prototypes.grad = torch.ones_like(prototypes)
    objective.hold(model, torch.tensor(cfg.method.fixed_epochs))
    assert prototypes.grad.all()
