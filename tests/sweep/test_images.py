"""What linear evaluation gives each image: the predictions behind the accuracies, written before the record."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

import ablate
from ablate.errors import DiskError, Interrupted, UsageError
from ablate.evaluation.linear import split_results
from ablate.sweep.images import ImageResults, SplitResults, load_image_results, read_image_results, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease
from ablate.sweep.merge import merge
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.record import read_record
from ablate.trial.context import Context
from ablate.trial.reevaluate import reevaluate
from ablate.trial.run import run_trial
from tests.support.sweeps import make_experiment, record, write_record

RESULT = SplitResults(
    *(np.array(row, dtype) for row, dtype in (([0, 2, 1], "u1"), ([0, 2, 0], "u1"), ([1, 2, -3], "f2")))
)
"""Two of three images right."""


def written(directory, trial, /, correct=2, **changes):
    """A record that counts ``correct`` of three images right, with the file of RESULT."""
    metrics = {"linear_top1": correct / 3, "linear_val_top1": correct / 3}
    made = record(trial, metrics=metrics, protocols={"linear": "as always"})
    results = ImageResults(made.id, made.config.data.fingerprint, RESULT, RESULT)
    path = SweepDir(directory).image_results(made.id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(to_bytes(dataclasses.replace(results, **changes)))
    write_record(directory, made)
    return made, path


@pytest.fixture
def trials(tmp_path):
    experiment = make_experiment(["a", "b"])
    save_plan(tmp_path, experiment)
    return plan(experiment)


def test_the_file_has_the_predictions_behind_the_accuracies(data, config, tmp_path):
    result = run_trial(config, tmp_path, data=data, seed=3, protocols=("knn", "linear", "linear:10%", "linear@z"))
    (found,) = load_image_results(tmp_path).values()
    assert (found.trial, found.data) == (result.id, data.fingerprint)
    assert [len(row) for row in found.neighbours] == 12 * [1 + 5]
    validated = data.train.labels[data.val_mask & (data.train.labels >= 0)]
    for name, split, labels in (("_val", found.validation, validated), ("", found.test, data.test.labels)):
        assert split.label.tolist() == labels.tolist()
        assert {split.label.dtype.name, split.predicted.dtype.name, split.margin.dtype.name} == {"uint8", "float16"}
        # The quotient is the very number on record, to the last bit.
        assert np.count_nonzero(split.predicted == split.label) / len(labels) == result.metrics[f"linear{name}_top1"]
        recalls = [(split.predicted == c)[split.label == c].mean() for c in range(3)]
        assert np.mean(recalls) == pytest.approx(result.metrics[f"linear{name}_balanced_accuracy"], abs=1e-12)
        assert ((split.margin > 0) == split.correct)[split.margin != 0].all()


def test_margins_are_differences_of_logits():
    logits = torch.tensor([[2.0, -1.0, 0.5], [2.0, -1.0, 0.5], [1e6, 0.0, 0.0]])
    found = split_results(logits, torch.tensor([0, 2, 1]), torch.tensor([5, 3, 5]))
    assert found.margin.tolist() == [1.5, -1.5, -65504.0]
    assert found.predicted.tolist() == [0, 0, 0]
    assert found.correct.tolist() == [True, False, False]
    many = split_results(torch.eye(300), torch.arange(300), torch.arange(300))
    assert (many.label.dtype, many.predicted[299], many.group) == (np.uint16, 299, None)


def test_groups_are_numbered_in_the_order_of_the_images_and_kept_only_where_there_are_any(tmp_path):
    found = split_results(torch.eye(4), torch.arange(4), torch.tensor([9, 2, 9, 7]))
    assert found.group.tolist() == [0, 1, 0, 2]
    content = to_bytes(ImageResults("a-s0", "f00d", RESULT, found))
    assert b"test_group" in content
    assert b"validation_group" not in content
    (tmp_path / "file").write_bytes(content)
    again = read_image_results(tmp_path / "file")
    assert (again.validation, again.test) == (RESULT, found)
    assert found != dataclasses.replace(found, group=None)


def test_an_interrupted_trial_leaves_the_same_bytes(data, config, tmp_path):
    whole = run_trial(config, tmp_path / "whole", data=data)
    reached = []
    context = Context(report=lambda e, _: reached.append(e), stop_requested=lambda: len(reached) >= 2)
    with pytest.raises(Interrupted):
        run_trial(config, tmp_path / "part", context, data=data)
    assert not SweepDir(tmp_path / "part").images.exists()
    run_trial(config, tmp_path / "part", data=data)
    kept = [SweepDir(tmp_path / name).image_results(whole.id).read_bytes() for name in ("whole", "part")]
    assert kept[0] == kept[1]
    assert len(kept[0]) < 4 * (len(data.test.labels) + int(data.val_mask.sum())) + 1000


def test_a_record_never_comes_before_its_file(data, config, tmp_path, monkeypatch):
    """Also if the disk has no room for the file: then there is no record, and the trial continues later."""
    order, write = [], Lease.write
    monkeypatch.setattr(Lease, "write", lambda self, path, content: order.append(path) or write(self, path, content))
    result = run_trial(config, tmp_path / "well", data=data)
    place = SweepDir(tmp_path / "well")
    assert order[-2:] == [place.image_results(result.id), place.record(result.id)]

    def full(self, path, content):
        if path.parent.name == "images":
            raise DiskError(28, "No space left on device", str(path))
        write(self, path, content)

    monkeypatch.setattr(Lease, "write", full)
    with pytest.raises(DiskError):
        run_trial(config, tmp_path / "full", data=data)
    assert not SweepDir(tmp_path / "full").record(result.id).exists()


def test_without_linear_evaluation_there_is_no_file(data, config, tmp_path):
    run_trial(config, tmp_path, data=data, protocols=("knn", "linear:10%", "linear@z"))
    assert not SweepDir(tmp_path).images.exists()
    assert load_image_results(tmp_path) == {}


def test_evaluating_again_writes_the_same_file(data, cache, config, tmp_path):
    result = run_trial(config, tmp_path, data=data, keep_encoders="all")
    path = SweepDir(tmp_path).image_results(result.id)
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(UsageError, match=rf"has no file {path}; `ablate evaluate .* --protocol linear --again` writes"):
        load_image_results(tmp_path, [result.id])
    reevaluate(tmp_path, ("linear",), cache, None, True, Console(quiet=True))
    assert path.read_bytes() == before
    assert read_record(SweepDir(tmp_path).record(result.id)).metrics == result.metrics


def test_merging_copies_the_files_and_needs_none(tmp_path):
    experiment = make_experiment(["a", "b"])
    for name in "AB":
        save_plan(tmp_path / name, experiment)
    first, second = plan(experiment)[:2]
    made, path = written(tmp_path / "A", first)
    other, lost = written(tmp_path / "B", second)
    lost.unlink()
    merged = merge([tmp_path / "A", tmp_path / "B"], tmp_path / "C")
    assert merged.copied == 2
    assert SweepDir(tmp_path / "C").image_results(made.id).read_bytes() == path.read_bytes()
    assert list(load_image_results(tmp_path / "C")) == [made.id]
    assert read_record(SweepDir(tmp_path / "C").record(other.id)) == other


def test_results_are_read_by_trial_and_in_one_order(trials, tmp_path):
    made = [written(tmp_path, trial)[0].id for trial in trials[:3]]
    found = load_image_results(tmp_path)
    assert set(found) == set(made)
    assert list(load_image_results(tmp_path, made[1:])) == made[1:]
    split = found[made[0]].test
    for name in ("label", "predicted", "margin"):
        assert getattr(split, name).tolist() == getattr(RESULT, name).tolist()
    assert repr(split) == "<3 images, 2 correct>"
    shutil.rmtree(SweepDir(tmp_path).images)
    assert load_image_results(tmp_path) == {}
    assert len(ablate.load_results(tmp_path)) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "keys", "lengths", "no images"])
def test_a_damaged_file_is_refused_with_what_to_do(damage, trials, tmp_path):
    made, path = written(tmp_path, trials[0])
    shorter = dataclasses.replace(RESULT, margin=RESULT.margin[:2])
    none = SplitResults(*(getattr(RESULT, name)[:0] for name in RESULT.arrays))
    path.write_bytes(
        {
            "cut": path.read_bytes()[:-3],
            "empty": b"",
            "other": b"not one of ours" * 9,
            "keys": to_bytes(ImageResults("a", "b", RESULT, RESULT)).replace(b"test_margin", b"test_borders"[:11]),
            "lengths": to_bytes(ImageResults(made.id, made.config.data.fingerprint, RESULT, shorter)),
            "no images": to_bytes(ImageResults(made.id, made.config.data.fingerprint, none, RESULT)),
        }[damage]
    )
    with pytest.raises(
        UsageError, match=rf"{path} is damaged \(.*\); `ablate evaluate {tmp_path} --protocol linear --ag"
    ):
        load_image_results(tmp_path)


def test_a_file_of_another_trial_evaluation_or_data_set_is_refused(trials, tmp_path):
    made, path = written(tmp_path, trials[0], trial="0123-s0")
    with pytest.raises(UsageError, match=f"holds the images of trial 0123-s0 on data .*, not of {made.id} on"):
        load_image_results(tmp_path)
    written(tmp_path, trials[0], data="beef")
    with pytest.raises(UsageError, match=f"on data beef, not of {made.id} on {made.config.data.fingerprint}"):
        load_image_results(tmp_path)
    written(tmp_path, trials[0], correct=1)
    with pytest.raises(
        UsageError, match=r"2 of 3 validation images classified correctly, and .* linear_val_top1 says 1"
    ):
        load_image_results(tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match="holds no record of a trial 'color'; ids have the form <key>-s<seed>"):
        load_image_results(tmp_path, ["color"])


def test_trials_on_different_data_cannot_be_compared(trials, tmp_path):
    written(tmp_path, trials[0])
    shared = trials[1].config
    config = shared.replace(data=shared.data.replace(fingerprint="beef"))
    written(tmp_path, trials[1].replace(config=config))
    with pytest.raises(
        UsageError, match=r"evaluated on different data sets \(fingerprints .*name trials of one data set"
    ):
        load_image_results(tmp_path)


def test_reading_needs_no_torch(trials, tmp_path):
    made, _ = written(tmp_path, trials[0])
    code = f"import sys, json, ablate; found = ablate.load_image_results({str(tmp_path)!r}); "
    code += "print(json.dumps([list(found), 'torch' in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[made.id], False]


def test_the_same_results_are_the_same_bytes(tmp_path):
    results = ImageResults("a-s0", "f00d", RESULT, RESULT)
    (tmp_path / "file").write_bytes(to_bytes(results))
    again = read_image_results(tmp_path / "file")
    assert to_bytes(again) == to_bytes(results)
    assert again == results
    other = dataclasses.replace(RESULT, margin=-RESULT.margin)
    assert again != dataclasses.replace(results, test=other)


def test_a_directory_without_a_sweep_is_not_one_without_images(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere holds neither"):
        load_image_results(tmp_path / "nowhere")
