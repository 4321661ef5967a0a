"""Steps as CUDA graphs: the same training, bit for bit, and only of what is known to allow it."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ablate.config.encoder import Encoder
from ablate.config.objectives import KINDS
from ablate.config.trial import Head, Optimiser, TrialConfig
from ablate.data import DataSet, Images, Split
from ablate.distributed import ALONE
from ablate.ops import Op, register, registry
from ablate.ops.composition import Composition
from ablate.training import step as module
from ablate.training.step import EagerStep, GraphStep
from ablate.training.trainer import Trainer, build_model
from tests.support.processes import of_objective

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


@pytest.fixture
def deterministic(monkeypatch):
    """On a GPU equal steps give equal bits only so: cuDNN's fastest algorithms add in any order."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def images() -> DataSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (96, 3, 20, 20), dtype=torch.uint8, generator=generator)
    split = Split(Images(pixels), torch.arange(96) % 3, None)
    return DataSet("noise", "0", ("a", "b", "c"), split, split, torch.arange(96) % 8 == 0, split)


def config(data: DataSet, composition: str, device: torch.device, **values: object) -> TrialConfig:
    content: dict[str, object] = {
        "composition": Composition.parse(composition).specs(),
        "branches": "two",
        "base": None,
        "data": data.identity,
        "encoder": Encoder(name="resnet8", width=8),
        "head": Head(),
        "batch_size": 8,
        "image_size": 16,
        "epochs": 3,
        "warmup_epochs": 1,
        "optimiser": Optimiser(),
        "device": device.type,
    }
    return TrialConfig.model_validate(content | values)


def trained(config: TrialConfig, data: DataSet, device: torch.device, pause_at: int | None = None) -> Trainer:
    """Two epochs; with ``pause_at``, by two trainers, the second from the first one's state."""
    trainer = Trainer(config, 5, data, device, online=True)
    asked = iter(range(1000))
    if pause_at is not None:
        while trainer.train_epoch(lambda: next(asked) == pause_at) is not None:
            pass
        state = trainer.state()
        trainer = Trainer(config, 5, data, device, online=True)
        trainer.restore(state)
    while trainer.epoch < 2:
        trainer.train_epoch()
    return trainer


def equal(a: Trainer, b: Trainer) -> bool:
    ours, theirs = (
        {**each.model.state_dict(), **{f"target.{k}": v for k, v in (each.target or nn.Module()).state_dict().items()}}
        for each in (a, b)
    )
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


class Again:
    """A graph's interface, without one: the function is called each time."""

    made = 0

    def __init__(self, function, index, generators):
        type(self).made += 1
        self.function = function

    def __call__(self, index):
        return self.function(index)


@pytest.mark.parametrize("objective", ["simclr", "byol", "dino"])
def test_the_loop_around_a_graph(images, monkeypatch, objective):
    cpu = torch.device("cpu")
    cfg = config(images, "crop+color", cpu, **of_objective(objective))
    plain = trained(cfg, images, cpu)
    monkeypatch.setattr(module, "can_capture", lambda *trial: True)
    monkeypatch.setattr(module, "Graph", Again)
    monkeypatch.setattr(module, "aside", lambda device: contextlib.nullcontext())
    for pause_at in (None, 0, 1, 2, 3, 7, 14):
        Again.made = 0
        assert equal(trained(cfg, images, cpu, pause_at), plain)
        assert Again.made >= 1


def test_nothing_is_captured_on_a_cpu(images):
    assert type(Trainer(config(images, "crop", torch.device("cpu")), 0, images, torch.device("cpu")).step) is EagerStep


def capturable(images, op, **changes):
    """Whether a step with ``op`` would be captured, were there a GPU with all images on it."""
    cfg = config(images, op, torch.device("cpu"), **changes)
    held = SimpleNamespace(device=CUDA, fits=True, images=images.train.images)
    return module.can_capture(cfg, build_model(cfg, 0, 3), held, ALONE)


@pytest.mark.usefixtures("own_registry")
def test_an_op_says_itself_that_it_can_be_captured(images):
    class Halved(Op):
        """Half as bright."""

        def transform(self, images, params):
            return images / 2

    @register("silent")
    class Silent(Halved):
        """Says nothing of it."""

    @register("promising")
    class Promising(Halved):
        """Says so."""

        capturable = True

    @register("inheriting")
    class Inheriting(Promising):
        """Of a class that says so; its own code may be another."""

    found = {name: capturable(images, f"crop+{name}") for name in ("silent", "promising", "inheriting")}
    assert found == {"silent": False, "promising": True, "inheriting": False}


def test_which_trials_can_be_captured(images):
    ours = [name for name in registry.names() if type(registry.get(name)()).__module__.startswith("ablate.")]
    assert all(capturable(images, name) for name in ours)
    assert not capturable(images, "kornia.RandomGrayscale(p=0.5)")
    assert not capturable(images, "crop", encoder=Encoder(name="torchvision.models:resnet18"))
    assert all(capturable(images, "crop", **of_objective(name)) for name in KINDS)


@needs_gpu
@pytest.mark.parametrize("objective", KINDS)
@pytest.mark.parametrize("branches", ["one", "two"])
def test_a_captured_step_is_the_step(images, monkeypatch, deterministic, objective, branches):
    base = {} if branches == "two" else {"branches": "one", "base": {}}
    cfg = config(images, "crop+color+blur", CUDA, **of_objective(objective), **base)
    captured = trained(cfg, images, CUDA)
    assert isinstance(captured.step, GraphStep)
    assert captured.step.graph is not None
    paused = trained(cfg, images, CUDA, pause_at=7)
    monkeypatch.setattr(module, "can_capture", lambda *trial: False)
    plain = trained(cfg, images, CUDA)
    assert equal(captured, plain)
    assert equal(paused, plain)
    assert {k: v.tolist() for k, v in captured.streams.states().items()} == {
        k: v.tolist() for k, v in plain.streams.states().items()
    }


@needs_gpu
@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_a_captured_update_is_the_update(images, monkeypatch, deterministic, name):
    cfg = config(images, "crop", CUDA, optimiser=Optimiser(name=name, lr=0.01), precision="bfloat16")
    captured, paused = trained(cfg, images, CUDA), trained(cfg, images, CUDA, pause_at=7)
    assert isinstance(captured.step, GraphStep)
    monkeypatch.setattr(module, "can_capture", lambda *trial: False)
    plain = trained(cfg, images, CUDA)
    assert equal(captured, plain)
    assert equal(paused, plain)


@needs_gpu
@pytest.mark.parametrize("name", registry.names())
def test_every_op_can_be_captured(images, monkeypatch, deterministic, name):
    cfg = config(images, f"crop+{name}" if name != "crop" else "color+crop", CUDA)
    captured = trained(cfg, images, CUDA)
    assert isinstance(captured.step, GraphStep)
    assert captured.step.graph is not None
    monkeypatch.setattr(module, "can_capture", lambda *trial: False)
    assert equal(captured, trained(cfg, images, CUDA))


@needs_gpu
def test_what_is_not_ours_is_not_captured(images):
    cfg = config(images, "crop+kornia.RandomPlanckianJitter(p=0.5)", CUDA)
    trainer = trained(cfg, images, CUDA)
    assert type(trainer.step) is EagerStep
