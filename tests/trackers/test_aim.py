"""A repository of Aim, read back with its own API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import exported

pytest.importorskip("aim")
import aim
from aim.storage.context import Context

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("undrawn")]


def content(directory):
    """The runs of an export by name, as Aim's index has them."""
    repo = aim.Repo.from_path(str(SweepDir(directory).tracker("aim")))
    repo.container_pool.clear()
    runs = list(repo.iter_runs())
    found = {run.name: run for run in runs if run.experiment == "leaves.v2"}
    assert len(found) == len(runs) == len(repo.list_all_runs())
    return found


def curve(run, name):
    steps, (values, _, _) = run.get_metric(name, Context({})).data.numpy()
    return list(zip(steps, values, strict=True))


def image(run, name):
    _, (values, _, _) = run.get_image_sequence(name, Context({})).data.items_list()
    return values[0]


def test_runs_are_grouped_by_cell_and_again_nothing_is_added(tracked, retried):
    assert exported(tracked, "aim") == (9, 0)
    runs = content(tracked)
    assert len(runs) == 9
    run = runs["b+a/s1"]
    assert (run["cell"], run["status"], run["settings"]["config.epochs"]) == ("b+a", "done", 3)
    assert curve(run, "training/loss") == [(1, 1.5), (2, 1.0), (3, 0.5)]
    assert curve(run, "training/knn_val_top1") == [(2, 0.25)]
    assert curve(run, "final/linear_top1") == [(3, pytest.approx(0.31))]
    assert curve(run, "seconds/total") == [(3, 60)]
    assert (image(run, "views").width, image(run, "views").height) == (12, 4)
    assert image(runs["sweep"], "heatmap").width == 12
    assert "Best composition" in runs["sweep"].description
    failed = runs["b/s0"]
    assert (failed["status"], "the loss became nan" in failed.description) == ("failed", True)
    assert not [run.name for run in runs.values() if run.active]
    hashes = {name: run.hash for name, run in runs.items()}
    assert exported(tracked, "aim") == (0, 9)
    assert {name: run.hash for name, run in content(tracked).items()} == hashes
    retried()
    assert exported(tracked, "aim") == (2, 7)
    again = content(tracked)
    assert again.keys() == runs.keys()
    assert {name for name, run in again.items() if run.hash != hashes[name]} == {"b/s0", "sweep"}
    assert (again["b/s0"]["status"], curve(again["b/s0"], "training/loss")[-1]) == ("done", (3, 0.5))


def test_an_export_that_was_killed_is_completed(tracked, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("ablate.report.trackers.aim._track", lambda *_: 1 / 0)
        ablate("export", tracked, "--to", "aim")
    assert exported(tracked, "aim") == (9, 0)
    assert len(content(tracked)) == 9


HOLD = """
import sys
from aim.storage.rockscontainer import RocksContainer
held = RocksContainer(sys.argv[1], read_only=False)
print("held", flush=True)
sys.stdin.read()
"""


def test_while_aim_up_holds_the_index_new_runs_are_written_and_earlier_ones_kept(tracked, retried):
    place = SweepDir(tracked).tracker("aim")
    place.mkdir(parents=True)
    index = Path(aim.Repo.from_path(str(place), init=True).path, "meta", "index")
    line = [sys.executable, "-c", HOLD, str(index)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout.readline() == "held\n"
        assert exported(tracked, "aim") == (9, 0)
        assert exported(tracked, "aim") == (0, 9)
        retried()
        assert "end it and export again" in one_sentence(ablate("export", tracked, "--to", "aim"))
        up.stdin.close()
    assert exported(tracked, "aim") == (2, 7)
    assert len(list(index.parent.joinpath("chunks").iterdir())) == 9


def test_without_the_package_the_error_names_the_extra(tracked, monkeypatch):
    monkeypatch.setattr("ablate.report.trackers.write.importlib.util.find_spec", lambda name: None)
    assert "pip install 'ablate[aim]'" in one_sentence(ablate("export", tracked, "--to", "aim"))
