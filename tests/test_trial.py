from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ablate.trial.attempt
from ablate.config.base import OpSpec
from ablate.config.sweep import Trial
from ablate.config.trial import DataIdentity, Optimiser
from ablate.errors import DamagedRecord, DiskError, Interrupted, LostLease, LostRank, TrialHeld, UsageError
from ablate.evaluation import frozen
from ablate.sweep.attempts import Attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.progress import write_progress
from ablate.sweep.record import read_record
from ablate.trial.context import Context
from ablate.trial.run import run_trial
from tests.support.trials import comparable


def test_the_record_says_how_it_came_about(data, config, tmp_path):
    seen = []
    result = run_trial(config, tmp_path, Context(report=lambda epoch, metrics: seen.append(epoch)), data=data, seed=3)
    assert result == read_record(SweepDir(tmp_path).record(result.id))
    assert seen == [1, 2, 3, 4]
    assert result.status == "done"
    assert result.label == "crop+color"
    assert {"linear_top1", "linear_val_top1", "linear_balanced_accuracy", "knn_top1"} <= result.metrics.keys()
    assert all(0 <= result.metrics[m] <= 1 for m in ("linear_top1", "linear_val_top1", "knn_top1"))
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4]
    assert {"loss", "contrastive_top1", "lr", "images_per_second"} <= result.history[0].keys()
    assert result.history[-1]["knn_val_top1"] is not None
    assert {"torch", "torchvision", "kornia", "numba", "ablate", "python"} == result.versions.keys()
    assert result.host["cpu_capability"]
    assert not (tmp_path / "running" / result.id).exists()


def test_the_same_trial_twice_gives_the_same_record(data, config, tmp_path):
    a, b = (run_trial(config, tmp_path / name, data=data, seed=3) for name in "ab")
    assert comparable(a) == comparable(b)
    other = run_trial(config, tmp_path / "c", data=data, seed=4)
    assert other.metrics != a.metrics or other.history[0]["loss"] != a.history[0]["loss"]


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_trial_resumes_bit_for_bit(data, config, tmp_path, epoch):
    whole = run_trial(config, tmp_path / "whole", data=data, seed=3)
    reached = []
    context = Context(report=lambda e, _: reached.append(e), stop_requested=lambda: len(reached) >= epoch)
    with pytest.raises(Interrupted):
        run_trial(config, tmp_path / "part", context, data=data, seed=3)
    resumed = run_trial(config, tmp_path / "part", data=data, seed=3)
    assert resumed.attempts == 2
    assert comparable(resumed) == comparable(whole)


def test_a_damaged_checkpoint_means_starting_over_with_the_same_result(data, config, tmp_path):
    whole = run_trial(config, tmp_path / "whole", data=data, seed=3)
    reached, told = [], []
    context = Context(report=lambda e, _: reached.append(e), stop_requested=lambda: len(reached) >= 2)
    with pytest.raises(Interrupted):
        run_trial(config, tmp_path / "part", context, data=data, seed=3)
    path = tmp_path / "part" / "running" / whole.id / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    context = Context(report=lambda _, metrics: told.append(metrics))
    assert comparable(run_trial(config, tmp_path / "part", context, data=data, seed=3)) == comparable(whole)
    assert "checkpoint.pt.damaged" in told[0]["damaged_checkpoint"]


def test_a_finished_trial_is_not_run_again(data, config, tmp_path, monkeypatch):
    first = run_trial(config, tmp_path, data=data)
    monkeypatch.setattr(ablate.trial.attempt, "Trainer", None)  # would fail if touched
    assert run_trial(config, tmp_path, data=data) == first


def test_nan_is_a_failed_record_with_the_traceback(data, config, tmp_path):
    config = config.model_copy(update={"optimiser": Optimiser(name="sgd", lr=1e30), "warmup_epochs": 0})
    result = run_trial(config, tmp_path, data=data)
    assert result.status == "failed"
    assert result.error.type == "Diverged"
    assert "Traceback" in result.error.traceback
    assert read_record(SweepDir(tmp_path).record(result.id)) == result


def test_collapse_is_done_with_a_flag_and_its_accuracy(data, config, tmp_path, monkeypatch):
    build = ablate.training.trainer.build_encoder

    def constant(*args, **kwargs):
        encoder = build(*args, **kwargs)
        for parameter in encoder.parameters():
            torch.nn.init.zeros_(parameter)
        return encoder

    monkeypatch.setattr("ablate.training.trainer.build_encoder", constant)
    config = config.model_copy(update={"objective": "untrained", "epochs": 0})
    result = run_trial(config, tmp_path, data=data)
    assert result.status == "done"
    assert "collapsed" in result.flags
    assert 0 <= result.metrics["linear_top1"] <= 1


def test_other_data_than_configured_is_refused(data, config, tmp_path):
    wrong = config.model_copy(update={"data": DataIdentity(name="x", fingerprint="beef", classes=3)})
    with pytest.raises(ValueError, match="not"):
        run_trial(wrong, tmp_path, data=data)


def test_a_full_disk_is_not_recorded_as_the_trials_fault(data, config, tmp_path, monkeypatch):
    def full(*_):
        raise DiskError(28, "No space left on device")

    monkeypatch.setattr("ablate.sweep.lease.write_atomically", full)
    with pytest.raises(DiskError, match="No space"):
        run_trial(config, tmp_path, data=data)
    assert not list(tmp_path.glob("trials/*.json"))


def test_an_os_error_of_an_op_is_the_trials_fault(data, config, tmp_path, monkeypatch):
    def missing(*_):
        raise FileNotFoundError(2, "No such file", "palette.png")

    monkeypatch.setattr("ablate.training.step.TransformPair.apply", missing)
    result = run_trial(config, tmp_path, data=data)
    assert result.status == "failed"
    assert "palette.png" in result.error.message
    monkeypatch.undo()
    assert run_trial(config, tmp_path, data=data) == result
    assert run_trial(config, tmp_path, data=data, retry_failed=True).status == "done"


def test_a_record_of_another_configuration_is_damaged(data, config, tmp_path):
    path = SweepDir(tmp_path).record(run_trial(config, tmp_path, data=data).id)
    path.write_text(path.read_text().replace('"epochs": 4', '"epochs": 3'))
    with pytest.raises(DamagedRecord, match="holds the record of"):
        read_record(path)


def test_each_split_is_put_on_the_device_once(data, config, tmp_path, monkeypatch):
    made, resident = [], frozen.Resident
    monkeypatch.setattr(frozen, "Resident", lambda images, device: (made.append(1), resident(images, device))[1])
    run_trial(config, tmp_path, data=data)
    assert len(made) == 1  # the test images; the trainer's own serve for the rest


def test_an_op_that_is_gone_is_found_before_any_work(data, config, tmp_path):
    gone = config.model_copy(update={"composition": (OpSpec(name="colr", version=1, params={}),)})
    with pytest.raises(UsageError, match="did you mean 'color'"):
        run_trial(gone, tmp_path, data=data)
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_set_aside(data, config, tmp_path):
    first, told = run_trial(config, tmp_path, data=data), []
    path = SweepDir(tmp_path).record(first.id)
    path.write_bytes(b"\xff\xfe junk")
    again = run_trial(config, tmp_path, Context(report=lambda _, metrics: told.append(metrics)), data=data)
    assert comparable(again) == comparable(first)
    assert told[0] == {"damaged_record": str(path.with_name(path.name + ".damaged"))}


def test_without_data_the_default_cache_is_read(data, config, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("ABLATE_CACHE", str(cache))
    assert run_trial(config, tmp_path / "a").metrics == run_trial(config, tmp_path / "b", data=data).metrics
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError):
        run_trial(config, tmp_path / "c")


def test_linear_evaluation_leaves_the_encoder_alone(data, config, tmp_path, monkeypatch):
    """No gradient reaches the encoder, and neither weights nor statistics move, once training is over."""
    from ablate.trial.attempt import TrialAttempt

    evaluate, seen = TrialAttempt.evaluate, {}

    def watched(self, protocols):
        encoder = self.frozen.encoder
        encoder.zero_grad(set_to_none=True)
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        outcome = evaluate(self, protocols)
        seen["equal"] = all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
        seen["gradients"] = [p.grad for p in encoder.parameters() if p.grad is not None]
        return outcome

    monkeypatch.setattr(TrialAttempt, "evaluate", watched)
    run_trial(config, tmp_path, data=data)
    assert seen == {"equal": True, "gradients": []}


def test_the_record_says_what_each_protocol_did(data, config, tmp_path):
    default = run_trial(config, tmp_path / "default", data=data)
    assert list(default.protocols) == ["linear", "knn"]
    assert "all 72 labelled training images" in default.protocols["linear"]
    asked = run_trial(config, tmp_path / "asked", data=data, protocols=("knn@z", "rankme"))
    assert list(asked.protocols) == ["knn@z", "rankme"]
    assert set(asked.metrics) == {"z_knn_top1", "z_knn_balanced_accuracy", "rankme"}
    assert asked.history[-1]["loss"] == default.history[-1]["loss"]  # what is evaluated changes nothing that is trained


def test_images_without_labels(data, config, tmp_path):
    """Trained as with labels, watched and evaluated without."""
    train = replace(data.train, labels=torch.full_like(data.train.labels, -1))
    test = replace(data.test, labels=torch.full_like(data.test.labels, -1))
    unlabelled = replace(data, classes=(), train=train, pretrain=train, test=test)
    none = config.model_copy(update={"data": config.data.model_copy(update={"classes": 0})})
    result = run_trial(none, tmp_path / "none", data=unlabelled, keep_encoders="best")
    assert result.status == "done", result.error
    assert set(result.metrics) == {
        "rotation_top1",
        "rotation_val_top1",
        "rankme",
        "common_alignment",
        "common_uniformity",
    }
    assert not [entry for entry in result.history if "knn_val_top1" in entry]
    assert len(list((tmp_path / "none" / "encoders").glob("*.json"))) == 1
    labelled = run_trial(config, tmp_path / "labelled", data=data)
    assert [e["loss"] for e in result.history] == [e["loss"] for e in labelled.history]


def test_training_is_watched_on_labelled_images_only(data, config, tmp_path):
    some = torch.arange(len(data.train.labels)) % 2 == 0
    labels = data.train.labels.where(some, -1)
    partly = replace(data, train=replace(data.train, labels=labels), pretrain=data.pretrain)
    result = run_trial(config, tmp_path, data=partly)
    assert result.status == "done", result.error
    assert "all 36 labelled training images" in result.protocols["linear"]
    assert all(0 <= entry["knn_val_top1"] <= 1 for entry in result.history)


def test_of_two_calls_at_once_one_has_the_trial(data, config, tmp_path, monkeypatch):
    """Also under another name of the directory; the first goes on undisturbed."""
    monkeypatch.chdir(tmp_path)
    refused = []

    def report(epoch, _):
        for directory in (tmp_path / "out", "out"):
            with pytest.raises(TrialHeld) as held:
                run_trial(config, directory, data=data)
            refused.append((epoch, held.value.holder.number))

    result = run_trial(config, tmp_path / "out", Context(report=report), data=data)
    assert refused == [(epoch, 1) for epoch in (1, 2, 3, 4) for _ in range(2)]
    assert (result.status, result.attempts) == ("done", 1)


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_trial_that_was_taken_over_writes_nothing_more(data, config, tmp_path, epoch):
    """In training and in evaluation: its process was believed dead, and is not."""
    trial = Trial(config=config, seed=0, label="x")
    running = SweepDir(tmp_path).begun(trial.id)
    found, reported = {}, []

    def report(at, metrics):
        reported.append(at)
        write_progress(tmp_path, trial, at, metrics, 0.0)
        if at == epoch:
            (running / "attempt-2.json").write_text(Attempt(number=2, machine="another").model_dump_json())
            found.update({path.name: path.read_bytes() for path in running.iterdir()})

    with pytest.raises(LostLease, match="taken this trial over"):
        run_trial(config, tmp_path, Context(report=report), data=data, keep_encoders="all")
    assert reported[-1] == epoch
    assert {"checkpoint.pt", "progress.json", "attempt-1.json", "attempt-2.json"} <= found.keys()
    assert {path.name: path.read_bytes() for path in running.iterdir()} == found
    assert not list(tmp_path.glob("trials/*"))
    assert not list(tmp_path.glob("encoders/*"))


def test_a_failure_after_a_takeover_is_not_recorded(data, config, tmp_path):
    running = SweepDir(tmp_path).begun(Trial(config=config, seed=0, label="x").id)

    def report(*_):
        (running / "attempt-2.json").write_text(Attempt(number=2, machine="another").model_dump_json())
        raise RuntimeError("of a process that has nothing to say any more")

    with pytest.raises(LostLease):
        run_trial(config, tmp_path, Context(report=report), data=data)
    assert not list(tmp_path.glob("trials/*"))


def test_the_loss_of_another_process_is_recorded_by_those_only_who_are_to(data, config, tmp_path, monkeypatch):
    """Where the first node is gone with its worker, the processes on the others must not fail the trial."""

    def lose(*_, **__):
        raise RuntimeError("gloo: connection closed by peer")

    monkeypatch.setattr("ablate.training.trainer.Trainer.train_epoch", lose)
    with pytest.raises(LostRank):
        run_trial(config, tmp_path, Context(records_loss=False), data=data)
    assert not list(tmp_path.glob("trials/*"))
    result = run_trial(config, tmp_path, data=data)
    assert (result.status, result.error.type, result.attempts) == ("failed", "LostRank", 2)
