"""What a CUDA graph holds of a step: on a fake GPU nothing waits, mixes devices, or has a shape that data decide."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from ablate.config.objectives import KINDS
from ablate.config.trial import Optimiser
from ablate.training.loss import BLOCK
from ablate.training.objectives.supcon import SupCon
from tests.ops.fake_cuda import DeviceMix
from tests.support.fake_training import backward, captured_step
from tests.support.pictures import CUDA_BUILD
from tests.support.processes import config, of_objective

needs_build = pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
SMALL = {
    "composition": (),
    "batch_size": 4,
    "precision": "bfloat16",
    "memory_format": "channels_last",
    "device": "cuda",
}


def of(name, **changes):
    return config(1, **{**SMALL, **of_objective(name), **changes})


@needs_build
@pytest.mark.parametrize("objective", KINDS)
def test_the_step_of_every_objective_can_be_captured(objective):
    # SimCLR's with a whole encoder, and with so many views that the loss takes them in blocks
    whole = objective == "simclr"
    step, share, rates = captured_step(of(objective, batch_size=BLOCK if whole else 4), short=not whole)
    assert share.shape == (2,)
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)
    *ours, probes = rates
    assert ours
    assert {held.device.type for held in (share, step.update.pace, step.update.epoch, *ours)} == {"cuda"}
    assert isinstance(probes, float)  # it never changes


@needs_build
@pytest.mark.parametrize(("name", "fused"), [("sgd", 2), ("adamw", 2), ("lars", 0)])
def test_every_optimiser_can_be_captured(name, fused):
    step, _, rates = captured_step(of("simclr", optimiser=Optimiser(name=name, lr=0.1)))
    assert len(rates) == fused + 1  # of matrices and of vectors, and the probe's
    groups = [*step.update.optimiser.param_groups, *step.update.probe.optimiser.param_groups]
    assert all(group.get("capturable", True) for group in groups)


@needs_build
@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        (lambda z: z * z.mean().item(), DataDependentOutputException),
        (lambda z: z * torch.rand(1).to("cuda"), DeviceMix),
    ],
    ids=["waits", "copies"],
)
def test_a_planted_wait_in_an_objective_is_found(planted, caught, monkeypatch):
    loss = SupCon.of_batch
    monkeypatch.setattr(SupCon, "of_batch", lambda self, p: loss(self, p._replace(z=planted(p.z))))
    with pytest.raises(caught):
        captured_step(of("supcon"))


def test_the_backward_pass_in_python_is_torchs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 5))
    images = torch.rand(6, 3, 8, 8)
    net(images).square().mean().backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    backward(net(images).square().mean())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), expected, strict=True))
