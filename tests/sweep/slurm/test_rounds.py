"""Rounds of seeds on a cluster: a command that waits for the jobs of a round, and jobs for the cells that are left."""

from __future__ import annotations

from ablate.config.slurm import Slurm
from ablate.config.sweep import Rounds
from ablate.launch import start as launch
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.timing import TrialTime
from ablate.sweep.plan import load_plan
from tests.support.jobs import Jobs
from tests.support.sweeps import make_experiment

ROUNDS = Rounds(within=0.01, largest=8)


def train(directory):
    planned = make_experiment(["a", "b"], 3).replace(rounds=ROUNDS, slurm=Slurm())
    return launch.submit(directory, planned, "", directory, False, False)


def test_each_round_waits_for_its_jobs_and_only_what_is_left_is_submitted(tmp_path, monkeypatch):
    jobs = Jobs(monkeypatch)
    assert train(tmp_path) == 0
    first, *others = jobs.submitted
    assert len(first) == 12
    assert [{name.split(" ")[0] for name in trials} for trials in others] == [{"a", "a+b"}] * 2
    assert load_plan(tmp_path).rounds.compared == (3, 5, 8)


def test_what_jobs_left_undone_is_submitted_again_before_any_cell_is_dropped(tmp_path, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[7])
    assert train(tmp_path) == 0
    assert len(jobs.submitted[1]) < len(jobs.submitted[0])
    Jobs(monkeypatch)
    assert train(tmp_path / "whole") == 0
    assert load_plan(tmp_path).rounds == load_plan(tmp_path / "whole").rounds


def test_after_a_cancel_no_round_follows_and_the_same_command_goes_on(tmp_path, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[7], cancelled_after=1)
    assert train(tmp_path) == 1
    assert len(jobs.submitted) == 1
    assert load_plan(tmp_path).rounds.compared == ()
    assert train(tmp_path) == 0


def test_failures_are_in_the_exit_code(tmp_path, monkeypatch):
    Jobs(monkeypatch, fails="b+a")
    assert train(tmp_path) == 1
    assert load_plan(tmp_path).rounds.compared == (3, 5, 8)


def test_a_dry_run_says_what_a_round_costs_and_what_all_may_cost(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr("ablate.launch.slurm.dry_run.measured", lambda *_: TrialTime(3600.0, "measured"))
    with sweep.listening() as console:
        experiment = sweep.experiment.replace(slurm=Slurm(), rounds=ROUNDS)
        show_submission(sweep.directory, experiment, sweep.directory, False, console)
    assert "rounds of seeds" in sweep.said
    assert "in this round, at most" in sweep.said
