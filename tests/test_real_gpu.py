"""The ten minutes on a GPU, in small on the CPU: what is run, in which order, and that the same command resumes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ablate.config.experiment_file import validated
from ablate.report.data.results import read_sweep
from ablate.report.stats.order import order
from ablate.sweep.plan import load_plan
from benchmarks import real_gpu
from tests.support.in_process import run_here
from tests.support.sweeps import sweep

LABELS = ["crop(flip_p=0.0)", "color"]


@pytest.fixture
def images(tmp_path, tiny_folder):
    """A folder of 90 images, where the script looks for CIFAR-10."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cifar10").symlink_to(tiny_folder, target_is_directory=True)
    return tmp_path / "images"


def on_cpus(out, best="color+crop(flip_p=0.0)"):
    """The grid on CPUs: ``best``, then the others in the order of the plan."""
    values = {best: 0.9, "crop(flip_p=0.0)": 0.8, "crop(flip_p=0.0)+color": 0.7}
    return sweep(out / "real-cifar10", LABELS, 1, lambda trial: values.get(trial.label, 0.5))


def line(images, out, *more):
    return ["--images", str(images), "--out", str(out), *more]


def test_a_dry_run_prints_both_experiments_and_runs_nothing(images, tmp_path, capsys):
    on_cpus(tmp_path)
    real_gpu.main(line(images, tmp_path, "--dry-run"))
    recipe, cells = re.split(r"^# .*$", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    recipe, cells = validated(tomllib.loads(recipe), "recipe"), validated(tomllib.loads(cells), "cells")
    assert (recipe.preset, recipe.branches, recipe.limit) == ("cifar10-fast", "two", None)
    assert (cells.preset, cells.branches) == ("one-gpu", "one")
    assert recipe.device == cells.device == "cuda"
    assert [str(label) for label in cells.compositions][:3] == [
        "color+crop(flip_p=0.0)",
        "crop(flip_p=0.0)",
        "crop(flip_p=0.0)+color",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("real")] == ["real-cifar10"]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_it_runs_and_resumes_in_small(images, tmp_path, cache, capsys, monkeypatch):
    on_cpus(tmp_path)
    calls = []

    def here(command, seconds):
        calls.append((Path(command[4]).name, seconds))
        done = run_here(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    monkeypatch.setattr(real_gpu, "within", here)
    arguments = line(images, tmp_path, "--device", "cpu", "--cache", str(cache))
    real_gpu.main(arguments)
    content = json.loads(capsys.readouterr().out)
    assert [name for name, _ in calls] == ["experiment.toml"] * 2
    assert all(0 < seconds <= 600 - real_gpu.ENDING for _, seconds in calls)
    assert content["rows"]["recipe"]["crop+color"]["linear_top1"] > 0
    ranked = [cell.label for cell in order(read_sweep(tmp_path / "real-cifar10").grid).cells]
    assert set(content["rows"]["cells"]) == set(ranked)
    assert "rank correlation" in (said := content["rows"]["agreement with the grid on CPUs"]) or "Spearman" in said
    assert content["versions"]["torch"]
    assert content["host"]["processor"]
    assert "name" not in content["host"]
    before = [item.label for item in load_plan(tmp_path / "real-gpu").compositions]
    assert before == ranked

    on_cpus(tmp_path, best="color")  # another ranking must not stand in the way
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "real-gpu" / "trials").iterdir()}
    grid = read_sweep(tmp_path / "real-cifar10")
    real_gpu.cells(images, "cpu", tmp_path, grid).start(60, str(cache))
    assert [cell.label for cell in order(grid.grid).cells] != before
    assert [item.label for item in load_plan(tmp_path / "real-gpu").compositions] == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "real-gpu" / "trials").iterdir()} == records


def test_no_part_begins_without_time(images, tmp_path, capsys, monkeypatch):
    on_cpus(tmp_path)
    monkeypatch.setattr(real_gpu, "within", lambda *_: pytest.fail("began a part"))
    real_gpu.main(line(images, tmp_path, "--device", "cpu", "--minutes", "0.4"))
    assert set(json.loads(capsys.readouterr().out)["rows"]) == {"published"}


def test_agreement_is_over_the_cells_in_common(tmp_path):
    grid = read_sweep(on_cpus(tmp_path))
    assert real_gpu.agreement(grid, grid).startswith("Spearman +1.00")
    some = read_sweep(sweep(tmp_path / "some", LABELS, 1, lambda trial: 0.5, skip=["color"]))
    assert "fewer than 4" in real_gpu.agreement(some, grid)
    equal = read_sweep(sweep(tmp_path / "equal", LABELS, 1, lambda trial: 0.5))
    assert "all equal" in real_gpu.agreement(equal, grid)


def test_a_part_is_interrupted_when_its_time_is_up():
    waits = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); time.sleep(600)"
    assert real_gpu.within([sys.executable, "-c", waits], 2.0) in (130, -2)  # -2: before Python had begun
    assert real_gpu.within([sys.executable, "-c", ""], 600) == 0


@pytest.mark.parametrize("lacks", ["cifar10", "real-cifar10"])
def test_what_is_missing_is_named(images, tmp_path, lacks):
    if lacks == "cifar10":
        (images / "cifar10").unlink()
    with pytest.raises(SystemExit, match=f"error: .*{lacks}"):
        real_gpu.main(line(images, tmp_path))


def test_make_runs_the_command_of_the_page():
    made = subprocess.run(
        ["make", "-n", "real", "IMAGES=~/images"], capture_output=True, text=True, check=True, cwd=real_gpu.ROOT
    ).stdout
    page = (real_gpu.ROOT / "docs" / "real-images.md").read_text()
    [command] = re.findall(r"^ablate grid (--ops .*) --data folder:~/images/cifar10$", page, re.MULTILINE)
    assert command in made
