"""Training that is stopped between steps goes on as if it had not been: bit for bit, from what is on disk."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from ablate.config.objectives import KINDS
from ablate.config.trial import Base, Optimiser
from ablate.data.dataset import DataSet, Images, Split
from ablate.distributed import ALONE, World
from ablate.ops.composition import Composition
from ablate.training import checkpoint
from ablate.training.trainer import Trainer
from tests.support.processes import CPU, config, data, of_objective
from tests.training import ranks

EPOCHS, STEPS = 2, 5
SGD = {"optimiser": Optimiser(name="sgd", lr=0.05)}
ONE_BRANCH = {"branches": "one", "base": Base(area=(0.5, 1.0))}


def ops(text):
    return {**SGD, "composition": Composition.parse(text).specs()}


VARIANTS = {
    "sgd": SGD,
    "adamw": {"optimiser": Optimiser(name="adamw", lr=0.01)},
    "lars": {"optimiser": Optimiser(name="lars", lr=0.5, weight_decay=1e-4)},
    "micro-batches": {**SGD, "micro_batch": 16},
    "supervised": {**SGD, "objective": "supervised"},
    "noise, elastic": ops("noise+elastic"),
    "noise, elastic, one branch": {**ops("noise+elastic"), **ONE_BRANCH},
    "kornia": ops("kornia.RandomPlanckianJitter(p=0.5)+crop"),
    "kornia, one branch": {**ops("crop+kornia.RandomGaussianNoise(p=0.5)"), **ONE_BRANCH},
    "dropout": SGD,
    "dropout, lars, micro-batches": {"optimiser": Optimiser(name="lars", lr=0.5), "micro_batch": 16},
    "channels last": {**SGD, "memory_format": "channels_last"},
    "images of several sizes": ops("crop+color"),
    "byol, micro-batches": {**SGD, **of_objective("byol"), "micro_batch": 16},
    **{name: {**SGD, **of_objective(name)} for name in KINDS if name not in {"simclr", "supervised"}},
}
QUICK = ("byol", "adamw", "micro-batches", "noise, elastic, one branch", "images of several sizes")


def several_sizes() -> DataSet:
    """The same images cut to a size each, so that batches are gathered ahead by a thread."""
    whole = data()
    sizes = torch.randint(16, 21, (160, 2), generator=torch.Generator().manual_seed(1))
    cut = [
        pixels[:, :h, :w].flatten() for pixels, (h, w) in zip(whole.train.images.pixels, sizes.tolist(), strict=True)
    ]
    offsets = torch.tensor([0, *(len(pixels) for pixels in cut[:-1])]).cumsum(0)
    images = Images((torch.cat(cut),), sizes, torch.stack([torch.zeros_like(offsets), offsets], 1), 3)
    split = Split(images, whole.train.labels, torch.arange(160))
    return DataSet("noise", "f00d", whole.classes, split, split, whole.val_mask, split)


def trainer_of(name, world=ALONE):
    images = several_sizes() if "sizes" in name else data()
    trainer = Trainer(config(world.size, epochs=EPOCHS, **VARIANTS[name]), 7, images, CPU, world, online=True)
    if "dropout" in name:
        trainer.encoder.stem.append(nn.Dropout(0.5))
    return trainer


def counted(trainer, steps):
    """``trainer``, which writes down in ``steps`` which step of which epoch it makes."""
    update = trainer._update
    trainer._update = lambda number, *rest: (steps.append((trainer.epoch, number)), update(number, *rest))[1]
    return trainer


def entry_of(entry):
    return {name: value for name, value in entry.items() if name != "images_per_second"}


def uninterrupted(name, world=ALONE):
    trainer = trainer_of(name, world)
    return trainer, [entry_of(trainer.train_epoch()) for _ in range(EPOCHS)]


def stopped(name, stops, path, world=ALONE):
    """Trained by a new trainer after every stop, from the file that process 0 has written.

    ``stops`` says, whenever training asks, whether it is to stop. Returns the last trainer, the epochs' entries and the
    steps that were made.
    """
    made, entries = [], []
    trainer = counted(trainer_of(name, world), made)
    while trainer.epoch < EPOCHS:
        entry = trainer.train_epoch(lambda: next(stops))
        if entry is not None:
            entries.append(entry_of(entry))
            continue
        state = {"trial": name, **trainer.state()}
        if world.rank == 0:
            path.write_bytes(checkpoint.to_bytes(state))
            state = checkpoint.load(path, state)[0]
            assert checkpoint.steps_done(path) == state["steps"] == len(made)
        torch.manual_seed(len(made))  # where the global generator is must not matter
        trainer = counted(trainer_of(name, world), made)
        trainer.restore(world.broadcast(state if world.rank == 0 else None))
    return trainer, entries, made


def everything(trainer):
    target = {} if trainer.target is None else trainer.target.state_dict()
    return {
        **trainer.model.state_dict(),
        **{f"probe.{k}": v for k, v in trainer.probe.linear.state_dict().items()},
        **{f"target.{k}": v for k, v in target.items()},
    }


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS]
)
def test_stopped_before_every_step(name, tmp_path):
    whole, expected = uninterrupted(name)
    trainer, entries, made = stopped(name, itertools.repeat(True), tmp_path / "c.pt")
    assert made == list(itertools.product(range(EPOCHS), range(STEPS)))  # none twice
    assert entries == expected
    assert_equal(everything(trainer), everything(whole))


@pytest.mark.parametrize("at", range(EPOCHS * STEPS))
def test_stopped_once(at, tmp_path):
    whole, expected = uninterrupted("adamw")
    trainer, entries, made = stopped("adamw", (n == at for n in itertools.count()), tmp_path / "c.pt")
    assert len(made) == EPOCHS * STEPS
    assert entries == expected
    assert_equal(everything(trainer), everything(whole))
    assert checkpoint.steps_done(tmp_path / "c.pt") == at


def test_the_same_trainer_goes_on():
    """As it does after a checkpoint in mid-epoch; also in double precision, whose sums are doubles."""
    whole, trainer = (trainer_of("sgd") for _ in range(2))
    for each in (whole, trainer):
        each.model.double()
    answers = iter([False, True, False, True, False, False])
    parts = [trainer.train_epoch(lambda: next(answers)) for _ in range(3)]
    assert parts[:2] == [None, None]
    assert entry_of(parts[2]) == entry_of(whole.train_epoch())
    assert trainer.paused is None
    assert_equal(everything(trainer), everything(whole))


@pytest.mark.parametrize("forgotten", ["totals", "streams", "step"])
def test_nothing_in_a_pause_is_superfluous(forgotten):
    """The comparison notices what it must: without any part of a pause, training is another."""
    _, expected = uninterrupted("noise, elastic")
    trainer = trainer_of("noise, elastic")
    answers = iter([False, False, True])
    assert trainer.train_epoch(lambda: next(answers)) is None
    state = trainer.state()
    nothing = {"totals": torch.zeros(1, 2), "streams": {}, "step": 0}
    state["paused"][forgotten] = nothing[forgotten]
    resumed = trainer_of("noise, elastic")
    resumed.restore(state)
    assert entry_of(resumed.train_epoch()) != expected[0]


def test_a_checkpoint_of_an_earlier_version_is_continued():
    """It calls the states of the streams their places."""
    _, expected = uninterrupted("noise, elastic")
    trainer, answers = trainer_of("noise, elastic"), iter([False, False, True])
    assert trainer.train_epoch(lambda: next(answers)) is None
    state = trainer.state()
    state["paused"]["places"] = state["paused"].pop("streams")
    resumed = trainer_of("noise, elastic")
    resumed.restore(state)
    assert entry_of(resumed.train_epoch()) == expected[0]


def test_steps_done_of_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "c.pt"
    assert checkpoint.steps_done(path) == 0
    path.write_bytes(b"junk")
    assert checkpoint.steps_done(path) == 0
    path.write_bytes(checkpoint.to_bytes({"epoch": 3}))
    assert checkpoint.steps_done(path) == 0


def in_processes(world: World) -> dict:
    """Trained without interruption, then stopped before every step because the last of the processes alone says so."""
    name = "dropout, lars, micro-batches"
    whole, expected = uninterrupted(name, world)
    answers = itertools.repeat(world.rank == world.size - 1)
    with tempfile.TemporaryDirectory() as folder:
        trainer, entries, made = stopped(name, answers, Path(folder) / "c.pt", world)
    return {
        "whole": (expected, everything(whole)),
        "stopped": (entries, everything(trainer)),
        "steps": made,
        "shares": shares_of(name, world),
    }


def shares_of(name, world):
    """What a checkpoint in the middle of an epoch holds of every process."""
    trainer, answers = trainer_of(name, world), iter([False, False, True])
    trainer.train_epoch(lambda: next(answers))
    return trainer.state()["paused"]["totals"]


@pytest.mark.slow
def test_processes_stopped_before_every_step(tmp_path):
    for found in ranks.run("tests.training.test_steps:in_processes", (2,), tmp_path)[2]:
        assert found["steps"] == list(itertools.product(range(EPOCHS), range(STEPS)))
        assert found["stopped"][0] == found["whole"][0]
        assert_equal(found["stopped"][1], found["whole"][1])
        assert found["shares"].shape == (2, 2)
        assert found["shares"][0, 0] != found["shares"][1, 0]
