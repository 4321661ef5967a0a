"""`ablate work`: machines that join a sweep run its trials by their leases, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from ablate.config.sweep import Rung
from ablate.launch import join
from ablate.sweep.attempts import Attempt, attempt_file
from ablate.sweep.layout import SweepDir
from ablate.sweep.lock import sole_user
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import before_next_choice
from ablate.sweep.record import read_record
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, results, wait_for
from tests.support.in_process import run_here, without_workers
from tests.support.parking import park
from tests.support.sweeps import make_experiment, record, write_record


@pytest.fixture(scope="module")
def alone(tiny_folder, cache, tmp_path_factory):
    """A sweep that its own command ran alone."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run_here(command(tiny_folder, cache, out, "--seeds", "2", ops="crop")).returncode == 0
    return out


@pytest.fixture
def planned(alone, tmp_path):
    """The plan of that sweep alone, as of a command that was stopped at once."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(alone / "sweep.toml", out)
    return out


def test_one_machine_runs_what_is_missing_beside_the_command_at_work(alone, planned, cache):
    before = (planned / "sweep.toml").read_bytes()
    with sole_user(planned), without_workers():
        done = ablate("work", planned, "--cache", cache)
    assert done.returncode == 0, done.stderr
    assert results(planned) == results(alone)
    assert f"every trial has ended; `ablate report {planned}` writes the report" in done.stdout
    assert (planned / "sweep.toml").read_bytes() == before
    assert not (planned / "report").exists()
    again = ablate("work", planned, "--cache", cache)
    assert (again.returncode, "nothing is left to do: all 4 trials" in again.stdout) == (0, True)


def test_a_trial_that_another_machine_holds_is_left_to_it_and_taken_once_it_is_released(planned, cache, monkeypatch):
    held = plan(load_plan(planned))[1]
    file = attempt_file(SweepDir(planned).begun(held.id), 1)
    file.parent.mkdir(parents=True)
    attempt = Attempt(number=1, host="node4", machine="another", pid=1)
    file.write_text(attempt.model_dump_json())
    missing = []

    def release(seconds):
        missing.append(set(results(planned)))
        file.write_text(attempt.replace(released=True).model_dump_json())

    monkeypatch.setattr(join.time, "sleep", release)
    with without_workers():
        assert ablate("work", planned, "--cache", cache).returncode == 0
    everything = {trial.id for trial in plan(load_plan(planned))}
    assert missing == [everything - {held.id}]
    assert set(results(planned)) == everything


def test_at_a_rung_no_trial_goes_on_before_its_own_command_has_chosen(tmp_path):
    experiment = make_experiment(["crop", "color"]).replace(prune=(Rung(eighth=4, keep=0.5),))
    save_plan(tmp_path, experiment)
    trials = plan(experiment)
    cells = [trial for trial in trials if trial.reference is None]
    epoch = experiment.prune[0].epoch(experiment.shared.epochs)
    waiting, until = before_next_choice(tmp_path, experiment, trials)
    assert until == epoch
    assert all(cell in waiting for cell in cells)
    for trial in trials:
        if trial.reference is None:
            park(tmp_path, trial, 0.5, epoch)
        else:
            write_record(tmp_path, record(trial))
    assert before_next_choice(tmp_path, experiment, trials) == ([], None)
    write_record(tmp_path, record(cells[0], status="pruned", metrics={}))
    assert before_next_choice(tmp_path, experiment, trials) == (cells[1:], None)


def test_what_is_not_possible_is_said_before_any_work(alone, planned, cache, tmp_path):
    assert "not a sweep directory" in one_sentence(ablate("work", tmp_path))
    text = (planned / "sweep.toml").read_text()
    folder = load_plan(planned).data
    (planned / "sweep.toml").write_text(text.replace(folder, "folder:/gone"))
    refused = one_sentence(ablate("work", planned, "--cache", tmp_path / "empty"))
    assert "this machine lacks the images of the sweep" in refused and "folder:/gone" in refused
    (planned / "trials").mkdir()
    for path in (alone / "trials").glob("*.json"):
        shutil.copy(path, planned / "trials" / f"{'f' * 16}-{path.name}")
    assert "begun by another version of ablate" in one_sentence(ablate("work", planned, "--cache", cache))
    on_gpus = text.replace('device = "cpu"', 'device = "cuda"')
    shutil.rmtree(planned / "trials")
    (planned / "sweep.toml").write_text(on_gpus)
    assert "trains on GPUs, of which this machine has none" in one_sentence(ablate("work", planned, "--cache", cache))
    assert not (planned / "running").exists()


@pytest.mark.slow
def test_two_machines_with_homes_of_their_own_of_which_one_is_killed(alone, planned, tmp_path):
    """They share the directory alone: each decodes the images into its own cache."""

    def machine(name):
        home = {"HOME": str(tmp_path / name), "XDG_CACHE_HOME": str(tmp_path / name / "cache")}
        environment = {key: value for key, value in os.environ.items() if key != "ABLATE_CACHE"} | home
        line = [sys.executable, "-m", "ablate", "work", str(planned), "--workers", "1"]
        return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    killed, other = machine("a"), machine("b")
    wait_for(lambda: any(planned.glob(f"logs/work-*-{killed.pid}-0.log")) and any(planned.glob("running/*/attempt-1*")))
    killed.send_signal(signal.SIGKILL)
    said, _ = other.communicate(timeout=240)
    killed.communicate()
    assert other.returncode == 0, said
    assert results(planned) == results(alone)
    attempts = [read_record(path).attempts for path in planned.glob("trials/*.json")]
    assert sum(attempts) - len(attempts) in (0, 1)  # the trial of the killed machine was begun again, no other
