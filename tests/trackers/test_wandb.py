"""Offline runs of Weights & Biases, read with its own messages: the package writes the file and has no reader of it."""

from __future__ import annotations

import json

import pytest

from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import exported

pytest.importorskip("wandb")
from wandb.proto import wandb_internal_pb2

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("undrawn")]
BLOCK = 32768  # bytes; the file is a log as LevelDB writes it, behind seven bytes


def messages(path):
    """The messages of a run's file."""
    content, at, whole = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while at < len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def values(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def content(directory):
    """By cell and name: what a run is, its settings, its history, its final values, its exit code and its folder."""
    found = {}
    for path in SweepDir(directory).tracker("wandb").glob("leaves.v2/wandb/offline-run-*/*.wandb"):
        records = list(messages(path))
        (run,) = [record.run for record in records if record.HasField("run")]
        history = [values(record.history.item) for record in records if record.HasField("history")]
        summary = {}
        for record in records:
            summary |= values(record.summary.update)
        (code,) = [record.exit.exit_code for record in records if record.HasField("exit")]
        found[run.run_group, run.display_name] = run, values(run.config.update), history, summary, code, path.parent
    return found


def test_runs_are_grouped_by_cell_and_again_nothing_is_added(tracked, retried):
    assert exported(tracked, "wandb") == (9, 0)
    runs = content(tracked)
    assert len(runs) == 9
    run, config, history, summary, code, folder = runs["b+a", "s1"]
    assert (run.project, run.job_type, run.host, code) == ("leaves.v2", "trial", "node7", 0)
    assert (config["config.epochs"], config["cell"], config["status"]) == (3, "b+a", "done")
    assert [(row["_step"], row["training/loss"]) for row in history] == [(1, 1.5), (2, 1.0), (3, 0.5)]
    assert [row.get("training/knn_val_top1") for row in history] == [None, 0.25, None]
    assert (summary["final/linear_top1"], summary["seconds/total"]) == (pytest.approx(0.31), 60)
    assert folder.joinpath("files", history[2]["views.path"]).read_bytes()[1:4] == b"PNG"
    assert runs["", "sweep"][2][0]["heatmap.width"] == 12
    assert "Best composition" in runs["", "sweep"][0].notes
    assert (runs["b", "s0"][4], "the loss became nan" in runs["b", "s0"][0].notes) == (1, True)
    about_the_machine = {path.name for path in folder.joinpath("files").iterdir()} - {"media"}
    assert not about_the_machine
    assert exported(tracked, "wandb") == (0, 9)
    retried()
    assert exported(tracked, "wandb") == (2, 7)
    again = content(tracked)
    assert len(again) == 9
    assert again["b", "s0"][4] == 0


def test_an_export_that_was_killed_is_completed(tracked, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("ablate.report.trackers.wandb.write_atomically", lambda *_: 1 / 0)
        ablate("export", tracked, "--to", "wandb")
    assert exported(tracked, "wandb") == (9, 0)
    assert len(content(tracked)) == 9


def test_without_the_package_the_error_names_the_extra(tracked, monkeypatch):
    monkeypatch.setattr("ablate.report.trackers.write.importlib.util.find_spec", lambda name: None)
    assert "pip install 'ablate[wandb]'" in one_sentence(ablate("export", tracked, "--to", "wandb"))
