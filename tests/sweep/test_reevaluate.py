"""``ablate evaluate``: what it adds is what training would have recorded; what it cannot do it says in a sentence."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from ablate.errors import UsageError
from ablate.evaluation import invariance, sgd
from ablate.evaluation.protocols import PROTOCOLS, Protocol
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import read_record
from ablate.trial import encoders
from ablate.trial.reevaluate import reevaluate
from ablate.trial.run import run_trial
from tests.support.reevaluation import config
from tests.support.sweeps import write_record

EVERYTHING = (
    "linear",
    "linear:10%",
    "finetune",
    "finetune:1%",
    "sgd",
    "knn",
    "rotation",
    "rankme",
    "alignment",
    "invariance",
    "linear@z",
    "knn@z",
    "rankme@z",
    "invariance@z",
)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(sgd, "EPOCHS", 2)
    monkeypatch.setattr(invariance, "names", lambda: ["color", "crop"])


def run(directory, specs, cache, device=None, again=False):
    """The lines that it prints."""
    with (directory / "said").open("w") as file:
        reevaluate(directory, specs, cache, device, again, Console(file=file, width=200))
    return (directory / "said").read_text().splitlines()


@pytest.mark.parametrize("objective", ["simclr", "supervised", "untrained"])
def test_it_adds_what_training_would_have_recorded(objective, data, cache, tmp_path):
    mine = config(data, objective=objective, epochs=0 if objective == "untrained" else 1)
    whole = run_trial(mine, tmp_path / "whole", data=data, seed=3, protocols=EVERYTHING)
    first = run_trial(mine, tmp_path / "part", data=data, seed=3, protocols=("knn",), keep_encoders="all")
    assert "linear_top1" not in first.metrics
    lines = run(tmp_path / "part", EVERYTHING, cache)
    added = read_record(SweepDir(tmp_path / "part").record(first.id))
    assert added.metrics == whole.metrics
    assert added.protocols == whole.protocols
    assert set(added.flags) == set(whole.flags)
    unchanged = {"metrics", "protocols", "flags"}
    assert added.model_dump(exclude=unchanged) == first.model_dump(exclude=unchanged)
    assert lines[0].endswith("keeps 1 encoder")
    assert f"sgd_top1 {added.metrics['sgd_top1']:.6g}" in lines[1]
    assert "8 metrics of single ops, in its record" in lines[1]


def test_what_is_on_record_is_not_computed_again_unless_asked(data, cache, tmp_path, monkeypatch):
    result = run_trial(config(data), tmp_path, data=data, keep_encoders="all")
    assert run(tmp_path, ("linear", "knn"), cache)[1] == "crop+color seed 0: already recorded"
    calls, linear = [], PROTOCOLS["linear"]
    counted = Protocol(lambda *args: calls.append(1) or linear.run(*args), needs_labels=True)
    monkeypatch.setitem(PROTOCOLS, "linear", counted)
    run(tmp_path, ("linear", "rankme"), cache)
    assert not calls
    run(tmp_path, ("linear",), cache, again=True)
    assert calls
    again = read_record(SweepDir(tmp_path).record(result.id))
    assert {name: again.metrics[name] for name in result.metrics} == result.metrics


def test_again_replaces_what_is_on_record(data, cache, tmp_path):
    """And nothing else does, not even the classifier's accuracy, which comes along with every supervised trial."""
    result = run_trial(config(data, objective="supervised"), tmp_path, data=data, keep_encoders="all")
    write_record(tmp_path, result.model_copy(update={"metrics": dict.fromkeys(result.metrics, 0.123)}))
    lines = run(tmp_path, ("knn", "rankme"), cache)
    added = read_record(SweepDir(tmp_path).record(result.id)).metrics
    assert {name for name, value in added.items() if value != 0.123} == {"rankme"}
    assert "classifier" not in lines[1]
    run(tmp_path, ("knn",), cache, again=True)
    assert read_record(SweepDir(tmp_path).record(result.id)).metrics["knn_top1"] == result.metrics["knn_top1"]


def test_again_takes_back_flags_that_no_longer_hold(data, cache, tmp_path):
    result = run_trial(config(data), tmp_path, data=data, keep_encoders="all")
    assert not result.flags
    flags = ("collapsed", "l2-at-edge", "z-l2-at-edge", "rotation-l2-at-edge")
    write_record(tmp_path, result.model_copy(update={"flags": flags}))
    run(tmp_path, ("knn",), cache, again=True)
    assert read_record(SweepDir(tmp_path).record(result.id)).flags == flags
    run(tmp_path, ("linear",), cache, again=True)
    assert read_record(SweepDir(tmp_path).record(result.id)).flags == (
        "collapsed",
        "z-l2-at-edge",
        "rotation-l2-at-edge",
    )


def test_what_an_earlier_definition_gave_is_replaced_and_never_kept_beside(data, cache, tmp_path):
    """Also without --again: on record is something else than what is asked for."""
    result = run_trial(config(data), tmp_path, data=data, keep_encoders="all")
    old = {"alignment": 0.1, "uniformity": -2.0, "z_alignment": 0.2}
    said = {"alignment": "over the trial's own pairs", "alignment@z": "over the trial's own pairs"}
    changes = {"metrics": result.metrics | old, "protocols": result.protocols | said}
    write_record(tmp_path, result.model_copy(update=changes))
    run(tmp_path, ("alignment", "knn"), cache)
    added = read_record(SweepDir(tmp_path).record(result.id))
    fresh = {"common_alignment", "common_uniformity", "z_alignment"}
    assert set(added.metrics) == {*result.metrics, *fresh}
    assert "the same for every trial" in added.protocols["alignment"]
    assert added.protocols["alignment@z"] == said["alignment@z"]
    assert run(tmp_path, ("alignment",), cache)[1].endswith("already recorded")


def test_a_composition_that_turns_images_is_flagged(data, cache, tmp_path):
    result = run_trial(config(data, "rotate"), tmp_path, data=data, keep_encoders="all")
    lines = run(tmp_path, ("rotation",), cache)
    added = read_record(SweepDir(tmp_path).record(result.id))
    assert added.metrics == result.metrics
    assert "rotation-not-applicable" in added.flags
    assert "rotate" in added.protocols["rotation"]
    assert lines[1] == "rotate seed 0: rotation-not-applicable"


def test_encoders_without_a_finished_record_are_left_out(data, cache, tmp_path):
    kept = [run_trial(config(data), tmp_path, data=data, seed=s, keep_encoders="all") for s in range(3)]
    SweepDir(tmp_path).record(kept[0].id).unlink()
    SweepDir(tmp_path).record(kept[1].id).write_text("{")
    lines = run(tmp_path, ("rankme",), cache)
    assert lines[0].endswith("keeps 3 encoders")
    assert [line.partition(":")[2] for line in lines[1:3]] == [" left out, its trial has no readable record"] * 2
    assert "rankme" in lines[3]


def test_what_cannot_be_done_is_said(data, cache, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="there is no directory"):
        reevaluate(tmp_path / "nowhere", ("linear",), cache, None, False, Console())
    result = run_trial(config(data), tmp_path, data=data)
    with pytest.raises(UsageError, match="keeps no encoders: train with --keep-encoders all"):
        run(tmp_path, ("linear",), cache)
    shutil.rmtree(tmp_path / "trials")
    run_trial(config(data), tmp_path, data=data, keep_encoders="all")
    with pytest.raises(UsageError, match="'online' is trained along with the encoder and cannot be added"):
        run(tmp_path, ("online",), cache)
    with pytest.raises(UsageError, match=f"does not hold the images of .*{data.fingerprint}.* --cache"):
        run(tmp_path, ("rankme",), tmp_path / "empty")
    monkeypatch.setattr("ablate.trial.reevaluate.read_entry", lambda *_: replace(data, classes=()))
    with pytest.raises(UsageError, match="'sgd' needs labels"):
        run(tmp_path, ("sgd",), cache)
    monkeypatch.undo()
    if not torch.cuda.is_available():
        on_cuda = config(data, device="cuda")
        record = result.model_copy(update={"config": on_cuda, "key": on_cuda.key})
        write_record(tmp_path, record)
        for path in (tmp_path / "encoders").glob(f"{result.id}.*"):
            path.rename(path.with_name(path.name.replace(result.key, on_cuda.key)))
        with pytest.raises(UsageError, match="--device cpu"):
            run(tmp_path, ("rankme",), cache)
        assert "rankme" in run(tmp_path, ("rankme",), cache, device="cpu")[1]
    assert encoders.kept(tmp_path)
