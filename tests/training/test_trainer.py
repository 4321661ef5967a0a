from __future__ import annotations

import pytest
import torch

from ablate.config.trial import Optimiser
from ablate.errors import Diverged
from ablate.training import checkpoint
from ablate.training.trainer import Trainer
from tests.training.conftest import CPU, config, weights


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_weights_bit_for_bit(data):
    trainers = [Trainer(config(data), seed, data, CPU) for seed in (5, 5, 6)]
    entries = [trainer.train_epoch() for trainer in trainers]
    assert equal(weights(trainers[0]), weights(trainers[1]))
    assert not equal(weights(trainers[0]), weights(trainers[2]))
    assert entries[0]["loss"] == entries[1]["loss"] != entries[2]["loss"]


def test_initial_weights_do_not_depend_on_the_composition(data):
    from ablate.ops.composition import Composition

    specs = Composition.parse("crop+color").specs()
    assert equal(
        weights(Trainer(config(data), 5, data, CPU)), weights(Trainer(config(data, composition=specs), 5, data, CPU))
    )


def test_building_a_trainer_leaves_the_global_generator_alone(data):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    Trainer(config(data), 5, data, CPU).train_epoch()
    assert torch.equal(before, torch.get_rng_state())


def test_restored_training_is_bit_identical(data, tmp_path):
    whole = Trainer(config(data), 5, data, CPU)
    for _ in range(3):
        whole.train_epoch()
    part = Trainer(config(data), 5, data, CPU)
    part.train_epoch()
    saved = {"trial": "x", **part.state()}
    (tmp_path / "c.pt").write_bytes(checkpoint.to_bytes(saved))
    resumed = Trainer(config(data), 5, data, CPU)
    resumed.restore(checkpoint.load(tmp_path / "c.pt", saved)[0])
    for _ in range(2):
        resumed.train_epoch()
    assert equal(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, state: path.write_bytes(path.read_bytes()[:1000]),
        lambda path, state: path.write_bytes(b"junk"),
        lambda path, state: path.write_bytes(b""),
        lambda path, state: path.write_bytes(checkpoint.to_bytes({"model": 1})),
        lambda path, state: torch.save([1, 2], path),
        lambda path, state: path.write_bytes(checkpoint.to_bytes({**state, "trial": "another"})),
    ],
    ids=["truncated", "junk", "empty", "other keys", "a list", "another trial's"],
)
def test_a_damaged_checkpoint_is_set_aside(data, tmp_path, damage):
    path, state = tmp_path / "c.pt", {"trial": "x", **Trainer(config(data), 5, data, CPU).state()}
    assert checkpoint.load(path, state) == (None, None)
    path.write_bytes(checkpoint.to_bytes(state))
    damage(path, state)
    assert checkpoint.load(path, state) == (None, tmp_path / "c.pt.damaged")
    assert not path.exists()


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = tmp_path / "c.pt"
    torch.save({"model": Evil()}, path)
    assert checkpoint.load(path, {"model": 0})[0] is None
    assert not (tmp_path / "owned").exists()


def test_every_image_is_used_once_per_epoch(data):
    trainer = Trainer(config(data, batch_size=8), 5, data, CPU)
    seen = torch.cat(trainer._batches())
    assert len(seen) == len(data.pretrain.labels) // 8 * 8 == len(seen.unique())


def test_supervised_training_never_sees_the_validation_split(data):
    trainer = Trainer(config(data, objective="supervised"), 5, data, CPU)
    seen = torch.cat(trainer._batches())
    assert not data.val_mask[seen].any()
    assert len(seen) == trainer.steps_per_epoch * 16  # the same budget as SimCLR's
    for _ in range(2):
        entry = trainer.train_epoch()
    assert 0 <= entry["train_top1"] <= 1


def test_learning_reduces_both_losses(data):
    for objective in ("simclr", "supervised"):
        trainer = Trainer(config(data, objective=objective, epochs=8), 5, data, CPU)
        losses = [trainer.train_epoch()["loss"] for _ in range(8)]
        assert losses[-1] < losses[0]


def test_warm_up_then_cosine(data):
    trainer = Trainer(config(data, epochs=4), 5, data, CPU)
    rates = [trainer.train_epoch()["lr"] for _ in range(4)]
    assert rates[0] <= 0.01
    assert rates[1] > rates[2] > rates[3] > 0


def test_divergence_is_an_error_with_advice(data):
    trainer = Trainer(config(data, optimiser=Optimiser(name="sgd", lr=1e30), warmup_epochs=0), 5, data, CPU)
    with pytest.raises(Diverged, match="a learning rate below"):
        for _ in range(3):
            trainer.train_epoch()


def test_stopping_mid_epoch_gives_no_entry(data):
    assert Trainer(config(data), 5, data, CPU).train_epoch(lambda: True) is None


def test_calibration_sets_statistics_and_no_weights(data):
    trainer = Trainer(config(data, objective="untrained", epochs=0), 5, data, CPU)
    before = weights(trainer)
    trainer.calibrate()
    after = weights(trainer)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)


def test_calibration_sees_every_class_of_a_set_that_is_sorted_by_class(data, monkeypatch):
    monkeypatch.setattr("ablate.training.trainer.CALIBRATION_IMAGES", 40)  # of 72: every second
    trainer = Trainer(config(data, objective="untrained", epochs=0), 5, data, CPU)
    seen, batch = [], trainer.images.batch
    monkeypatch.setattr(trainer.images, "batch", lambda index: (seen.append(index), batch(index))[1])
    trainer.calibrate()
    assert [len(index) for index in seen] == [16, 16]
    assert set(data.pretrain.labels[torch.cat(seen)].tolist()) == {0, 1, 2}


def test_loss_scale_multiplies_nt_xent_and_never_cross_entropy(data):
    """By the gradients of one step; an earlier version's supervised trial is refused, not trained otherwise."""

    def gradients(**changes):
        trainer = Trainer(config(data, **changes), 5, data, CPU)
        trainer.train_steps(1)
        return [p.grad for p in trainer.model.parameters()]

    for once, twice in zip(gradients(), gradients(loss_scale=2.0), strict=True):
        assert torch.equal(2 * once, twice)
    supervised = config(data, objective="supervised")
    with pytest.raises(ValueError, match="loss_scale 2 is for NT-Xent, and this trial is supervised"):
        Trainer(supervised.model_copy(update={"loss_scale": 2.0}), 5, data, CPU)
