"""From what was asked for to what is trained, without a process for each question."""

from __future__ import annotations

import pytest
import torch

from ablate.config import DataIdentity
from ablate.errors import UsageError
from ablate.settings import Request, parse_assignments, shared_config

DATA = DataIdentity(name="x", fingerprint="f", classes=2)


def resolved(*assignments, data="glyphs", branches="one", device="cpu"):
    values = parse_assignments(assignments)
    return shared_config(Request(data=data, branches=branches, values=values, device=device), DATA)


def test_presets_by_data_set_and_size():
    glyphs, small, large = (resolved(data=d) for d in ("glyphs", "cifar10:/x", "folder:/x"))
    assert (glyphs.encoder.name, small.encoder.name, large.encoder.name) == ("resnet8", "resnet18", "resnet50")
    assert (small.temperature, large.temperature) == (0.5, 0.1)


def test_the_learning_rate_follows_the_batch_size_unless_given():
    assert resolved("batch_size=64").optimiser.lr == pytest.approx(2 * resolved("batch_size=32").optimiser.lr)
    assert resolved("batch_size=64", "optimiser.lr=0.5").optimiser.lr == 0.5


def test_a_shorter_training_has_a_shorter_warm_up():
    assert resolved(data="cifar10:/x").warmup_epochs == 10
    assert resolved("epochs=20", data="cifar10:/x").warmup_epochs == 2
    assert resolved("epochs=1000", data="cifar10:/x").warmup_epochs == 10
    assert resolved("epochs=20", "warmup_epochs=5", data="cifar10:/x").warmup_epochs == 5


def test_another_encoder_does_not_inherit_the_presets_width():
    assert resolved("encoder.name=resnet18").encoder.width == 64
    assert resolved("encoder.name=resnet8").encoder.width == resolved().encoder.width


def test_the_objective_can_be_set_either_way():
    assert resolved("objective=supervised").objective == "supervised"
    with pytest.raises(UsageError, match="reference"):
        resolved("objective=untrained")


def test_two_branches_have_no_base():
    assert resolved(branches="two").base is None


def test_a_gpu_without_bfloat16_arithmetic_trains_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert resolved(device="cuda").precision == "float32"
    with pytest.raises(UsageError, match="no bfloat16 arithmetic"):
        resolved("precision=bfloat16", device="cuda")
