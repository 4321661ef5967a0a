"""``--track``: finished trials go to a tracker while the command waits, and its faults do not reach the sweep."""

from __future__ import annotations

import io
import threading
import time

import pytest
from rich.console import Console

from ablate.cli import search, sweep
from ablate.cli.options import Running
from ablate.config.experiment import Experiment
from ablate.errors import Interruption
from ablate.launch import tracking as module
from ablate.launch.tracking import tracking
from ablate.report.data.results import read_sweep
from ablate.report.trackers.write import Written, write_sweep
from ablate.sweep.budget import Budget
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import Memory

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=1000)


def wait_for(what):
    limit = time.monotonic() + 60
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_trials_are_written_as_they_finish_and_the_export_afterwards_adds_nothing(
    tracked, memory, retried, console, monkeypatch
):
    monkeypatch.setattr(module, "EVERY", 0.01)
    records = {path: path.read_bytes() for path in SweepDir(tracked).trials.iterdir()}
    last = min(records)
    last.unlink()
    with tracking(tracked, "memory", console):
        wait_for(lambda: len(memory) == 7)
        assert "sweep" not in memory
        last.write_bytes(records[last])
        wait_for(lambda: last.stem in memory)
        retried()  # a record in the place of another one is noticed at the end
    assert len(memory) == 9
    assert "heatmap" in memory["sweep"].images
    assert {run.status for run in memory.values() if run.group == "b"} == {"done", "failed"}
    assert write_sweep(read_sweep(tracked), Memory("")) == Written(new=0, there=9)
    place = SweepDir(tracked).tracker("memory")
    assert console.file.getvalue() == f"{place} has the finished trials; to see them: `look`\n"


def test_an_interrupted_sweep_leaves_the_rest_to_the_next_command(tracked, memory, console, monkeypatch):
    with pytest.raises(Interruption), tracking(tracked, "memory", console):
        raise Interruption(2)
    assert not memory
    with tracking(tracked, "memory", console):
        pass
    assert len(memory) == 9


def test_a_fault_is_said_once_and_the_next_look_tries_again(tracked, memory, console, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.01)
    tries = []

    def refuse(self, run):
        tries.append(run)
        raise OSError("no space left\nand more")

    with monkeypatch.context() as patch, tracking(tracked, f"memory:{tmp_path / 'runs'}", console):
        patch.setattr(Memory, "write", refuse)
        wait_for(lambda: len(tries) > 2)
    (said,) = [line for line in console.file.getvalue().splitlines() if "did not take" in line]
    assert "(OSError: no space left); the sweep is not affected" in said
    assert f"`ablate export {tracked} --to memory --out {tmp_path / 'runs'}`" in said
    assert (log := SweepDir(tracked).log("tracker-memory")).read_text().count("Traceback") == 1
    assert str(log) in said


def at_work():
    return [thread for thread in threading.enumerate() if thread.name == "track-memory"]


@pytest.fixture
def seen(monkeypatch):
    """How many trackers were at work while a command trained, which the launchers are made to note."""
    counts = []
    for name in ("ablate.launch.start.run_here", "ablate.search.run.run_search"):
        monkeypatch.setattr(name, lambda *args, **options: counts.append(len(at_work())) or 0)
    monkeypatch.setattr("ablate.report.write_report", lambda directory: Console(quiet=True))
    monkeypatch.setattr(Console, "show", lambda self, console: None, raising=False)
    return counts


@pytest.mark.parametrize("dry", [False, True])
def test_commands_track_what_they_train_but_not_what_they_only_plan(tracked, memory, seen, dry):
    how = Running(track="memory", dry_run=dry)
    assert sweep.launch(tracked, load_plan(tracked), "", how, report=False) == 0
    assert (seen, len(memory)) == (([0], 0) if dry else ([1], 9))
    assert not at_work()


def test_a_search_is_tracked(tracked, memory, seen):
    how = Running(track="memory")
    asked = load_plan(tracked), Budget.parse("4", "cpu", 0.01), Experiment(ops=["crop"])
    assert search._search(tracked, *asked, how, None) == 0
    assert (seen, len(memory)) == ([1], 9)


@pytest.mark.parametrize(
    ("track", "said"),
    [
        ("memry", "allowed: tensorboard, mlflow, wandb, trackio, aim, memory; did you mean 'memory'?"),
        ("memory:", "write `--track memory` or `--track memory:DIR`"),
        ("memory:sweep.toml", "--track sweep.toml: sweep.toml is a file"),
    ],
)
def test_mistakes_are_refused_before_any_work(tracked, memory, track, said):
    for command in (["grid"], ["search", "--budget", "3"]):
        line = [*command, "--ops", "crop", "--track", track, "--cache", tracked / "cache", "--out", tracked / "new"]
        assert said in one_sentence(ablate(*line, cwd=tracked))
    assert not (tracked / "cache").exists()


def test_a_command_that_only_submits_has_nothing_to_track(tmp_path, memory):
    line = ["grid", "--ops", "crop", "--track", "memory", "--launcher", "slurm", "--out", tmp_path / "out"]
    assert "`ablate export DIR --to memory` writes finished trials" in one_sentence(ablate(*line))
    for waits in (["--prune"], ["--seeds", "auto"], ["--budget", "4"]):  # refused for want of Slurm alone
        assert "sbatch" in one_sentence(ablate(*line, *waits, PATH=str(tmp_path)))
