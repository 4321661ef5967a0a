"""Rounds of seeds on a cluster: a command that waits for the jobs of a round, and jobs for the cells that are left."""

from __future__ import annotations

import numpy as np

from ablate.config.slurm import Slurm
from ablate.config.sweep import Rounds
from ablate.files import write_atomically
from ablate.launch import start as launch
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.slurm.submission import note_cancelling
from ablate.launch.timing import TrialTime
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import failure, make_experiment, record, write_record

MEANS = {"a": 0.9, "b": 0.5, "a+b": 0.9, "b+a": 0.6}
ROUNDS = Rounds(within=0.01, largest=8)


class Jobs:
    """In place of sbatch and the jobs: what is missing gets its record, or as many as ``lame`` says."""

    def __init__(self, monkeypatch, lame=(), cancelled_after=None, fails=""):
        self.submitted: list[set[str]] = []
        self.lame, self.cancelled_after, self.fails = list(lame), cancelled_after, fails
        monkeypatch.setattr(launch, "submit_sweep", self.submit)
        monkeypatch.setattr(launch, "looks", lambda directory, every: iter(()))

    def submit(self, directory, experiment, cache, retry_failed, console, *, until):
        whole = merge_with_existing(directory, experiment)
        save_plan(directory, whole)
        waiting = launch.short_of(directory, plan(whole), until)
        self.submitted.append({f"{t.label} s{t.seed}" for t in waiting if not t.reference})
        if waiting:
            write_atomically(directory / "jobs" / f"{len(self.submitted)}.json", "")
        if len(self.submitted) == self.cancelled_after:
            note_cancelling(directory)
        for trial in waiting[: self.lame.pop(0) if self.lame else None]:
            noise = 0.002 * np.random.default_rng([trial.seed, *trial.label.encode()]).standard_normal()
            there = record(trial, MEANS.get(trial.label, 0.1) + noise)
            write_record(directory, failure(trial) if trial.label == self.fails else there)
        return 0


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
