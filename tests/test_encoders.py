"""Encoders on disk: whole, loadable without ablate, and only the best where only the best is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

import ablate.trial.endings
from ablate.config.encoder import Encoder
from ablate.config.objectives import KINDS
from ablate.config.sweep import Trial
from ablate.config.trial import Base, DataIdentity, Head, Optimiser, TrialConfig
from ablate.data import prepare
from ablate.errors import DiskError, UsageError
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.protocols import evaluate
from ablate.sweep.lease import inherit
from ablate.training.encoder import build_encoder
from ablate.training.head import ProjectionHead
from ablate.trial import encoders
from ablate.trial.run import run_trial
from tests.support import processes


def trial_of(name="resnet8", size=16, seed=0, reference=None, **changes):
    encoder = Encoder(name=name, width=4) if name == "resnet8" else Encoder(name=name)
    config = TrialConfig(
        composition=(),
        data=DataIdentity(name="made-up", fingerprint="f00d", classes=3),
        image_size=size,
        encoder=encoder,
        head=Head(hidden=8, output=4),
        **changes,
    )
    return Trial(config=config, seed=seed, label="none", reference=reference)


def modules(trial):
    """An encoder with random weights and statistics, and a head."""
    encoder = build_encoder(trial.config.encoder, trial.config.image_size)
    layout = torch.channels_last if trial.config.memory_format == "channels_last" else torch.contiguous_format
    encoder.to(memory_format=layout)
    for value in encoder.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return encoder.eval(), ProjectionHead(encoder.dim, Head(hidden=8, output=4))


def save(directory, trial, score, keep="all", metric="linear_val_top1"):
    return encoders.save(
        inherit(directory, trial.id, None), trial, *modules(trial), {metric: score} if score is not None else {}, keep
    )


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_h_and_z_are_bit_equal_after_loading(name, memory_format, tmp_path):
    trial = trial_of(name, memory_format=memory_format)
    encoder, head = modules(trial)
    encoders.save(inherit(tmp_path, trial.id, None), trial, encoder, head, {}, "all")
    again, head_again = encoders.rebuild(tmp_path, trial.id, trial.config)
    views = torch.rand(8, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(encoder(views), again(views))
        assert torch.equal(head(encoder(views)), head_again(again(views)))
    assert not again.training


def test_the_classifier_of_a_supervised_trial(tmp_path):
    trial = trial_of(objective="supervised")
    encoder, head = modules(trial)[0], torch.nn.Linear(16, 3)
    encoders.save(inherit(tmp_path, trial.id, None), trial, encoder, head, {}, "all")
    _, again = encoders.rebuild(tmp_path, trial.id, trial.config)
    assert torch.equal(head.weight, again.weight)
    assert set(encoders.load(tmp_path, trial.id)[1]) == {"weight", "bias"}


@pytest.mark.parametrize("objective", [name for name in KINDS if name not in {"simclr", "supervised"}])
def test_the_encoder_of_another_objective_is_the_one_that_was_evaluated(objective, tmp_path):
    config = processes.config(1, epochs=2, optimiser=Optimiser(lr=0.01), **processes.of_objective(objective))
    record = run_trial(config, tmp_path, data=processes.data(), protocols=("rankme", "rankme@z"), keep_encoders="all")
    encoder, head = encoders.rebuild(tmp_path, record.id, config)
    again = evaluate(Frozen(encoder, head, config, 0, processes.data(), processes.CPU), ("rankme", "rankme@z"))
    assert again.metrics == record.metrics


WITHOUT_ABLATE = """
import json, sys, torch, torchvision
from safetensors.torch import load_file
sys.modules["ablate"] = None  # importing it would fail
torch.set_num_threads(1)  # as the tests have it
for path in sys.argv[1:]:
    described = json.load(open(path + ".json"))
    net = getattr(torchvision.models, described["config"]["encoder"]["name"])()
    net.fc = torch.nn.Identity()
    if described["size"] <= 64:
        net.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        net.maxpool = torch.nn.Identity()
    net.load_state_dict(load_file(path + ".safetensors"))
    net.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.save(net(torch.load(path + ".views")), path + ".h")
"""


@pytest.mark.slow
def test_it_loads_without_ablate(tmp_path):
    """With the stem for small images, and with the usual one."""
    expected = {}
    for size in (32, 80):
        trial = trial_of("resnet18", size)
        encoder, head = modules(trial)
        encoders.save(inherit(tmp_path, trial.id, None), trial, encoder, head, {"linear_top1": 0.5}, "all")
        views = torch.rand(4, 3, size, size)
        path = tmp_path / "encoders" / trial.id
        torch.save(views, f"{path}.views")
        with torch.no_grad():
            expected[path] = encoder(views.contiguous(memory_format=torch.channels_last))
    line = [sys.executable, "-c", WITHOUT_ABLATE, *expected]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path, h in expected.items():
        assert torch.equal(torch.load(f"{path}.h"), h)


def test_what_lies_beside_it(tmp_path):
    trial = trial_of("resnet18", 32, seed=7)
    save(tmp_path, trial, 0.25)
    content = json.loads((tmp_path / "encoders" / f"{trial.id}.json").read_text())
    assert TrialConfig.model_validate(content["config"]).key == trial.config.key
    assert (content["seed"], content["label"], content["size"]) == (7, "none", 32)
    assert content["metrics"] == {"linear_val_top1": 0.25}
    assert content["input"].startswith("RGB, float32 in [0, 1]")
    assert content["encoder"] == "torchvision.models.resnet18 without fc, conv1 3x3 with stride 1 and no maxpool"
    names = sorted(p.name.removeprefix(trial.id) for p in (tmp_path / "encoders").iterdir())
    assert names == [".head.safetensors", ".json", ".safetensors"]
    assert encoders.kept(tmp_path) == [trial.id]


@pytest.mark.parametrize("metric", ["linear_val_top1", "rotation_val_top1"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_best_is_kept_in_whatever_order_trials_end(metric, order, tmp_path):
    scores = {0: 0.3, 1: 0.5, 2: 0.5, 3: 0.4}
    for seed in order:
        save(tmp_path, trial_of(seed=seed), scores[seed], "best", metric)
    best = trial_of(seed=1).id  # of equals, the smaller id
    assert encoders.kept(tmp_path) == [best]
    files = sorted(p.name for p in (tmp_path / "encoders").glob("[!.]*"))
    assert files == [f"{best}.head.safetensors", f"{best}.json", f"{best}.safetensors"]


def test_any_number_of_workers_may_save(tmp_path):
    threads = [
        threading.Thread(target=save, args=(tmp_path, trial_of(seed=seed), seed / 10, "best")) for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoders.kept(tmp_path) == [trial_of(seed=5).id]


def test_what_does_not_compete(tmp_path):
    assert not save(tmp_path, trial_of(reference="supervised"), 0.9, "best")
    assert not save(tmp_path, trial_of(), None, "best")
    assert not save(tmp_path, trial_of(), 0.9, "none")
    assert encoders.kept(tmp_path) == []
    assert save(tmp_path, trial_of(reference="supervised"), 0.9, "all")


def test_a_damaged_file_is_one_sentence(tmp_path):
    trial = trial_of()
    save(tmp_path, trial, 0.5)
    path = tmp_path / "encoders" / f"{trial.id}.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UsageError, match="is missing or damaged"):
        encoders.load(tmp_path, trial.id)
    path.unlink()
    with pytest.raises(UsageError, match="is missing or damaged"):
        encoders.load(tmp_path, trial.id)


@pytest.fixture(scope="module")
def data(tiny_folder, cache):
    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


@pytest.fixture
def config(data):
    return TrialConfig(
        composition=ablate.Composition.parse("crop+color").specs(),
        base=Base(area=(0.5, 1.0)),
        data=data.identity,
        image_size=16,
        encoder=Encoder(name="resnet8", width=4),
        head=Head(hidden=8, output=4),
        epochs=1,
        warmup_epochs=0,
        batch_size=16,
        optimiser=Optimiser(name="adamw", lr=0.01),
    )


def test_a_trial_keeps_its_encoder_before_its_record(data, config, tmp_path, monkeypatch):
    written = []
    write = ablate.trial.endings.write_record
    monkeypatch.setattr(
        ablate.trial.endings, "write_record", lambda *args: written.append(encoders.kept(tmp_path)) or write(*args)
    )
    result = run_trial(config, tmp_path, data=data, keep_encoders="all")
    assert written == [[result.id]]
    assert encoders.describe(tmp_path, result.id)["metrics"] == result.metrics
    monkeypatch.undo()
    run_trial(config, tmp_path / "none", data=data)
    assert not (tmp_path / "none" / "encoders").exists()


def test_a_full_disk_leaves_no_record(data, config, tmp_path, monkeypatch):
    def full(*_, **__):
        raise DiskError(28, "No space left on device")

    monkeypatch.setattr(encoders, "to_bytes", full)
    with pytest.raises(DiskError):
        run_trial(config, tmp_path, data=data, keep_encoders="all")
    assert not list(tmp_path.glob("trials/*.json"))


@pytest.mark.parametrize("keep", ["all", "best"])
def test_a_file_in_the_way_is_the_disks_trouble(keep, tmp_path):
    (tmp_path / "encoders").write_text("in the way")
    with pytest.raises(DiskError):
        save(tmp_path, trial_of(), 0.5, keep)


def test_the_best_needs_a_protocol_that_says_which(data, config, tmp_path):
    with pytest.raises(UsageError, match="add linear or rotation"):
        run_trial(config, tmp_path, data=data, protocols=("knn",), keep_encoders="best")
    with pytest.raises(UsageError, match="needs labels"):
        run_trial(config, tmp_path, data=replace(data, classes=()), protocols=("knn",))
