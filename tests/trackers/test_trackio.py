"""A directory of Trackio, read back with its own API in another process, since its directory is fixed at import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import exported

pytest.importorskip("trackio")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("undrawn", "watched")]
READ = """
import json, sys, trackio
from trackio.sqlite_storage import SQLiteStorage
runs = {}
for project in SQLiteStorage.get_projects():
    for run in trackio.Api().runs(project):
        logs = SQLiteStorage.get_logs(project, run.name, run_id=run.id)
        runs[f"{project}:{run.name}"] = {"id": run.id, "config": run.config, "logs": logs}
json.dump(runs, sys.stdout)
"""
WATCH = """
import os, socket
def connect(self, address, connect=socket.socket.connect):
    if self.family != socket.AF_UNIX:
        open(os.environ["CONNECTIONS"], "a").write(f"{address}\\n")
    return connect(self, address)
socket.socket.connect = connect
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Note every connection of a process that starts, in an environment in which trackio would send runs."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "watch"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("CONNECTIONS", str(tmp_path / "connections"))
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9/?write_token=x")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "elsewhere"))
    yield
    assert not (tmp_path / "connections").exists()
    assert not (tmp_path / "elsewhere").exists()


def content(place):
    """The runs of a directory by project and name."""
    environment = {**os.environ, "TRACKIO_DIR": str(place)}
    environment.pop("TRACKIO_SERVER_URL")
    return json.loads(subprocess.check_output([sys.executable, "-c", READ], env=environment))


def test_runs_are_grouped_by_cell_and_again_nothing_is_added(tracked, retried):
    place = SweepDir(tracked).tracker("trackio")
    assert exported(tracked, "trackio") == (9, 0)
    runs = content(place)
    assert len(runs) == 9
    run = runs["leaves_v2:b+a/s1"]
    assert (run["config"]["_Group"], run["config"]["config.epochs"], run["config"]["status"]) == ("b+a", 3, "done")
    curve, final = run["logs"][:-1], run["logs"][-1]
    assert [(row["step"], row["training/loss"]) for row in curve] == [(1, 1.5), (2, 1.0), (3, 0.5)]
    assert [row.get("training/knn_val_top1") for row in curve] == [None, 0.25, None]
    assert curve[0]["timestamp"] == "2026-11-01T09:59:20+00:00"
    assert (final["final/linear_top1"], final["seconds/total"], final["step"]) == (pytest.approx(0.31), 60, 3)
    assert (place / "media" / final["views"]["file_path"]).read_bytes()[1:4] == b"PNG"
    whole = runs["leaves_v2:sweep"]["logs"][-1]
    assert (place / "media" / whole["heatmap"]["file_path"]).is_file()
    assert "Best composition" in whole["notes"]["_value"]
    failed = runs["leaves_v2:b/s0"]
    assert failed["config"]["status"] == "failed"
    assert "the loss became nan" in failed["logs"][-1]["notes"]["_value"]
    pictures = len(list(place.rglob("*.png")))
    assert exported(tracked, "trackio") == (0, 9)
    assert content(place) == runs
    retried()
    assert exported(tracked, "trackio") == (2, 7)
    again = content(place)
    assert again.keys() == runs.keys()
    assert again["leaves_v2:b/s0"]["config"]["status"] == "done"
    assert [row["step"] for row in again["leaves_v2:b/s0"]["logs"]] == [1, 2, 3, 3]
    assert len(list(place.rglob("*.png"))) == pictures


def test_names_that_are_one_project_to_trackio_are_refused_and_reserved_ones_changed(tracked, tmp_path):
    out = tmp_path / "runs"
    assert exported(tracked, "trackio", "--out", out) == (9, 0)
    other = shutil.copytree(tracked, tmp_path / "leaves v2")
    before = content(out)
    said = one_sentence(ablate("export", other, "--to", "trackio", "--out", out))
    assert f"{out} has a project leaves_v2, as trackio calls leaves v2, with the runs of leaves.v2" in said
    assert content(out) == before
    reserved = shutil.copytree(tracked, tmp_path / "leaves_system")
    assert exported(reserved, "trackio", "--out", out) == (9, 0)
    assert "sweep_leaves_system_:b+a/s1" in content(out)


def test_a_process_that_has_ended_is_a_fault_of_the_tracker(tracked, monkeypatch):
    monkeypatch.setattr("ablate.report.trackers.trackio._serve", print)  # a child that answers nothing
    with pytest.raises(ChildProcessError, match="has ended"):
        ablate("export", tracked, "--to", "trackio")


def test_without_the_package_the_error_names_the_extra(tracked, monkeypatch):
    monkeypatch.setattr("ablate.report.trackers.write.importlib.util.find_spec", lambda name: None)
    assert "pip install 'ablate[trackio]'" in one_sentence(ablate("export", tracked, "--to", "trackio"))
