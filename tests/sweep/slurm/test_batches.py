"""A grid within a budget on a cluster: the command waits for the jobs of a batch before it asks for the next cells."""

from __future__ import annotations

from ablate.config.slurm import Slurm
from ablate.config.sweep import Budgeted
from ablate.launch import start as launch
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.timing import TrialTime
from ablate.sweep.batches import started
from ablate.sweep.plan import load_plan
from tests.support.jobs import Jobs
from tests.support.sweeps import make_experiment


def experiment(budget="8"):
    budgeted = Budgeted(budget=budget, within=0.001)
    return make_experiment(["a", "b", "c"]).replace(budgeted=budgeted, slurm=Slurm())


def train(directory):
    return launch.submit(directory, experiment(), "", directory, False, False)


def test_each_batch_waits_for_its_jobs_and_only_its_cells_are_submitted(tmp_path, monkeypatch):
    jobs = Jobs(monkeypatch)
    assert train(tmp_path) == 0
    assert [len(trials) for trials in jobs.submitted if trials] == [4, 4]
    assert {name for trials in jobs.submitted for name in trials} == {
        f"{label} s0" for label in load_plan(tmp_path).budgeted.cells
    }


def test_jobs_that_leave_trials_undone_and_a_cancel_do_not_change_the_cells(tmp_path, monkeypatch):
    Jobs(monkeypatch)
    assert train(tmp_path / "whole") == 0
    jobs = Jobs(monkeypatch, lame=[2, 3], cancelled_after=2)
    assert train(tmp_path / "parts") == 1
    assert len(jobs.submitted) == 2
    Jobs(monkeypatch, lame=[1])
    assert train(tmp_path / "parts") == 0
    assert load_plan(tmp_path / "parts").budgeted == load_plan(tmp_path / "whole").budgeted


def test_a_dry_run_says_what_a_batch_costs_and_what_the_budget_may_cost(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr("ablate.launch.slurm.dry_run.measured", lambda *_: TrialTime(3600.0, "measured"))
    with sweep.listening() as console:
        show_submission(sweep.directory, started(experiment()), sweep.directory, False, console)
    assert "4 of 9 cells asked for so far" in sweep.said
    assert "in this batch, at most" in sweep.said
