"""Every benchmark that measures something it is pointed at runs: its command line and its smallest measurement."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ablate.config.experiment import Experiment
from ablate.planning.images import prepare_images
from ablate.planning.understand import plan_sweep
from ablate.sweep.images import ImageResults, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from benchmarks import harness, marked, shortcut
from tests.support.classes import split_of
from tests.support.cli import ablate
from tests.support.sweeps import make_experiment, record, write_record


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a benchmark's command line; return what it printed and what it wrote."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(
        marked, "DOCS", Path(shutil.copytree(marked.DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("*.png")))
    )
    threads = torch.get_num_threads()

    def command(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        with pytest.MonkeyPatch.context() as fresh:
            fresh.delitem(sys.modules, f"benchmarks.{name}", raising=False)  # as in a process of its own
            runpy.run_module(f"benchmarks.{name}", run_name="__main__")
        file = tmp_path / f"{name}.json"
        return capsys.readouterr().out, json.loads(file.read_text())["rows"] if file.is_file() else None

    yield command
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "words", "key"),
    [
        ("objectives", ("simclr",), "peak MiB"),
        ("scaling", ("ops", 1), "seconds"),
        ("memory", ("step", 8, 4), "peak MiB"),
    ],
)
def test_a_row_in_a_process_of_its_own(run, name, words, key):
    assert json.loads(run(name, *words)[0])[key] >= 0


def test_classes(run, tmp_path):
    experiment = make_experiment(["rotate", "color"]).replace(classes=tuple("0123456789"))
    save_plan(tmp_path, experiment)
    label = np.repeat(np.arange(10), 4)
    for trial in plan(experiment):
        rng = np.random.default_rng(len(trial.label))
        split = split_of(label, np.where(rng.random(40) < 0.7, label, 9 - label))
        done = record(trial, metrics=dict.fromkeys(("linear_top1", "linear_val_top1"), float(split.correct.mean())))
        done = done.replace(protocols={"linear": "as always"})
        write_record(tmp_path, done)
        path = SweepDir(tmp_path).image_results(done.id)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(to_bytes(ImageResults(done.id, done.config.data.fingerprint, split, split)))
    printed, _ = run("classes", f"glyphs={tmp_path}")
    assert printed.count("| glyphs | rotate |") == 4 and "| blood cells | color | **not measured yet** |" in printed


@pytest.mark.parametrize("seeds", [1, 2])
def test_invariance(run, tmp_path, seeds):
    ops = ["crop", "color", "rotate", "flip", "cutout"]
    save_plan(tmp_path, experiment := make_experiment(ops, seeds=seeds))
    tested = (*ops, "zoom_out", "channel_shuffle", "stain", "vflip", "d4")
    kinds = ("invariance", "z_invariance", "told", "z_told")
    names = [*(f"{kind}_{op}" for kind in kinds for op in tested), "lidar", "rankme"]
    for number, trial in enumerate(plan(experiment)):
        drawn = np.random.default_rng(number).random(len(names)).tolist()
        write_record(tmp_path, record(trial, metrics=record(trial).metrics | dict(zip(names, drawn, strict=True))))
    printed, rows = run("invariance", f"glyphs={tmp_path}", f"blood cells={tmp_path}")
    looked = rows.pop("afterwards", None)
    assert sorted(map(int, rows)) == list(range(1, 16)) and (looked is None) == (seeds == 1)
    assert printed.count("(one seed)") == (15 if seeds == 1 else 0)
    page = (tmp_path / "docs" / "invariance.md").read_text()
    assert ("In the 25 cells that both seeds have" in page) == (seeds == 2)


def test_shortcut(monkeypatch, tiny_folder, cache, tmp_path):
    """``--measure`` landed once in a form that could not run."""
    wish = Experiment(
        data=f"folder:{tiny_folder}", ops=["crop", "color"], device="cpu", set={"batch_size": 16, "image_size": 16}
    )
    sweep = tmp_path / "results" / "fig5-glyphs"
    planned, _ = plan_sweep(wish, sweep, lambda sized: prepare_images(sized, cache), "ablate grid")
    save_plan(sweep, planned)
    for trial in plan(planned):
        write_record(sweep, record(trial))
    measured = {}
    monkeypatch.setenv("ABLATE_CACHE", str(cache))
    monkeypatch.setattr(sys, "argv", ["shortcut", "--measure"])
    monkeypatch.setattr(shortcut, "SETS", {})
    monkeypatch.setattr(shortcut, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "save", lambda name, rows: measured.update({name: rows}))
    for name in ("written", "scatter", "save_figure"):  # the page is another test's
        monkeypatch.setattr(shortcut, name, lambda page, *_: page)
    monkeypatch.setattr(shortcut, "PAGE", tmp_path / "docs" / "shortcut.md")
    (tmp_path / "docs").mkdir()
    shortcut.PAGE.write_text("")
    shortcut.main()
    row = measured["shortcut"]["glyphs"]
    assert set(row["found"]) == set(shortcut.DEFINITIONS) and set(row["worth"]) == {"color"}


@pytest.mark.slow
def test_protocols(run, monkeypatch, tiny_folder, cache, tmp_path):
    monkeypatch.setattr("ablate.config.protocols.NAMES", ("linear", "knn", "online"))
    settings = ("--set", "epochs=1", "--set", "image_size=16", "--set", "batch_size=16", "--set", "encoder.width=4")
    trained = ("train", "crop", "--data", f"folder:{tiny_folder}", "--cache", cache, "--out", tmp_path / "one")
    assert ablate(*trained, "--preset", "laptop@2", *settings).returncode == 0
    _, rows = run("protocols", tmp_path / "one", cache)
    assert set(rows["protocols"]) == {"linear", "knn"}
