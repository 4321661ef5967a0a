"""An MLflow database, read back with MLflow's own client."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import exported

pytest.importorskip("mlflow")
from mlflow import MlflowClient

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("undrawn")]


def content(directory):
    """The runs of an export by cell and name, and a function that reads the curve of one."""
    client = MlflowClient(f"sqlite:///{SweepDir(directory).tracker('mlflow')}/mlflow.db")
    experiment = client.get_experiment_by_name("leaves.v2")
    runs = {(run.data.tags["cell"], run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}
    return runs, lambda run, name: [(at.step, at.value) for at in client.get_metric_history(run.info.run_id, name)]


def test_runs_are_children_of_their_cell_and_again_nothing_is_added(tracked, retried):
    assert exported(tracked, "mlflow") == (9, 0)
    runs, curve = content(tracked)
    assert len(runs) == 13  # four cells and references, eight trials and the sweep
    run = runs["b+a", "s1"]
    assert run.data.tags["mlflow.parentRunId"] == runs["b+a", "b+a"].info.run_id
    assert curve(run, "training/loss") == [(1, 1.5), (2, 1.0), (3, 0.5)]
    assert curve(run, "training/knn_val_top1") == [(2, 0.25)]
    assert curve(run, "final/linear_top1") == [(0, pytest.approx(0.31))]  # step 0: MLflow draws a bar, else a dot
    assert run.data.metrics["seconds/total"] == 60
    assert run.data.params["config.epochs"] == "3"
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 60_000)
    assert Path(run.info.artifact_uri.removeprefix("file://"), "views.png").read_bytes()[1:4] == b"PNG"
    assert Path(runs["sweep", "sweep"].info.artifact_uri.removeprefix("file://"), "heatmap.png").is_file()
    assert "Best composition" in runs["sweep", "sweep"].data.tags["mlflow.note.content"]
    assert runs["b", "s0"].info.status == "FAILED"
    assert exported(tracked, "mlflow") == (0, 9)
    again, curve = content(tracked)
    assert {key: run.info.run_id for key, run in again.items()} == {key: run.info.run_id for key, run in runs.items()}
    assert curve(again["b+a", "s1"], "training/loss") == [(1, 1.5), (2, 1.0), (3, 0.5)]
    retried()
    assert exported(tracked, "mlflow") == (2, 7)
    assert len(content(tracked)[0]) == 13
    assert content(tracked)[0]["b", "s0"].info.status == "FINISHED"


def test_an_export_that_was_killed_is_completed(tracked, monkeypatch):
    from ablate.report.trackers.mlflow import MLflow

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(MLflow, "_pictures", lambda *_: 1 / 0)
        ablate("export", tracked, "--to", "mlflow")
    assert exported(tracked, "mlflow") == (9, 0)
    assert len(content(tracked)[0]) == 13


def test_without_the_package_the_error_names_the_extra(tracked, monkeypatch):
    monkeypatch.setattr("ablate.report.trackers.write.importlib.util.find_spec", lambda name: None)
    assert "pip install 'ablate[mlflow]'" in one_sentence(ablate("export", tracked, "--to", "mlflow"))
