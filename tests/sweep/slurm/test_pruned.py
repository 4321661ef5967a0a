"""Pruning on a cluster: jobs up to a rung, the command that waits for them, and jobs for what goes on."""

from __future__ import annotations

import pytest
from rich.console import Console

from ablate.config import Slurm
from ablate.lease import running_directory
from ablate.results import read_record, record_path, write_record
from ablate.sweep import launch
from ablate.sweep.plan import plan, save_experiment
from ablate.sweep.prune import RUNGS
from ablate.sweep.slurm.dry_run import show_submission
from tests.report.test_report import failure, make_experiment, record
from tests.sweep.slurm.test_job import in_job  # noqa: F401  # a fixture
from tests.sweep.test_prune import park


@pytest.fixture
def pruning(sweep):
    """The sweep, with rungs after its first epoch and after its fourth of eight."""
    shared = sweep.experiment.shared.model_copy(update={"epochs": 8})
    sweep.experiment = sweep.experiment.model_copy(update={"prune": RUNGS, "shared": shared})
    return sweep


def cells(experiment):
    return [trial for trial in plan(experiment) if trial.reference is None]


def test_up_to_a_rung_only_cells_that_are_not_there_are_submitted(pruning, fake_slurm):
    first, *others = cells(pruning.experiment)
    park(pruning.directory, first, 0.5)
    assert pruning.submit(until=1) == 0
    (submission,) = pruning.submissions()
    assert submission.until == 1
    assert pruning.placed() == [trial.id for trial in others]
    assert "now up to epoch 1" in pruning.said


def test_a_job_tells_its_workers_how_far(in_job, pruning, stub_worker):  # noqa: F811
    stub_worker('say("ready")\nfor line in given():\n    say("done", line.split()[0])\n')
    in_job(trials=3, until=1)()
    ids = [trial.id for trial in cells(pruning.experiment)[:3]]
    assert (pruning.directory / "given").read_text().splitlines() == [f"{trial_id} 1" for trial_id in ids]


def test_a_dry_run_shows_the_jobs_up_to_the_first_rung_and_what_all_costs(pruning, fake_slurm, monkeypatch):
    monkeypatch.setattr("ablate.sweep.slurm.dry_run.trial_seconds", lambda *_: 3600.0)
    with pruning.listening() as console:
        experiment = pruning.experiment.model_copy(update={"slurm": Slurm()})
        show_submission(pruning.directory, experiment, pruning.directory, False, console)
    assert "pruned after epoch 1 to 4 cells, and after epoch 4 to 1 cell" in pruning.said
    assert "9 jobs up to epoch 1 in 1 array" in pruning.said
    assert "estimated: 3.47 core hours" in pruning.said


class Jobs:
    """In place of sbatch and the jobs: what was submitted comes to its rung, or record, while it is waited for."""

    def __init__(self, monkeypatch, lame=()):
        self.submitted: list[tuple[int | None, bool, set[str]]] = []
        self.lame = list(lame)  # how many trials the jobs of a submission come to; all, where nothing is said
        monkeypatch.setattr(launch, "submit_sweep", self.submit)
        monkeypatch.setattr(launch, "looks", lambda directory, every: iter(()))

    def submit(self, directory, experiment, cache, retry_failed, console, *, until):
        save_experiment(directory, experiment)
        if retry_failed:
            for trial in plan(experiment):
                path = record_path(directory, trial.id)
                if path.exists() and read_record(path).status == "failed":
                    path.unlink()
        waiting = launch.short_of(directory, plan(experiment), until)
        self.submitted.append((until, retry_failed, {trial.label for trial in waiting}))
        for trial in waiting[: self.lame.pop(0) if self.lame else None]:
            if until is None:
                write_record(directory, record(trial))
            else:
                park(directory, trial, len(trial.label) / 100, until)
        return 0


def train(directory, experiment, retry_failed=False):
    return launch.training_there(directory, directory, retry_failed, Console(quiet=True))(experiment)


@pytest.fixture
def experiment():
    made = make_experiment(["a", "bb", "ccc"])
    return made.model_copy(update={"prune": RUNGS, "shared": made.shared.model_copy(update={"epochs": 8})})


def test_all_go_to_a_rung_and_the_best_beyond(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch)
    assert train(tmp_path, experiment) == 0
    everything, some, last = (labels for _, _, labels in jobs.submitted)
    assert [until for until, _, _ in jobs.submitted] == [1, 4, None]
    assert len(everything) == 9
    assert some == {"ccc+bb", "bb+ccc", "ccc+a", "a+ccc"}  # the longest
    assert len(last - {"untrained"}) == 1
    assert "untrained" in last
    statuses = [read_record(record_path(tmp_path, t.id)).status for t in plan(experiment)]
    assert sorted(statuses) == ["done"] * 2 + ["pruned"] * 8
    assert not any(running_directory(tmp_path, t.id).exists() for t in cells(experiment) if t.label not in last)


def test_what_jobs_left_undone_is_submitted_again_before_anything_is_pruned(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[5])
    assert train(tmp_path, experiment) == 0
    assert [(until, len(labels)) for until, _, labels in jobs.submitted] == [(1, 9), (1, 4), (4, 4), (None, 2)]
    whole = Jobs(monkeypatch)
    assert train(tmp_path / "whole", experiment) == 0
    assert whole.submitted[-1] == jobs.submitted[-1]


def test_jobs_that_do_nothing_are_not_submitted_for_ever(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[5, 0])
    assert train(tmp_path, experiment) == 1
    assert [until for until, _, _ in jobs.submitted] == [1, 1]
    assert not list(tmp_path.glob("trials/*"))  # nothing is pruned that others have not been compared with


def test_failed_trials_are_retried_up_to_the_rung_and_compete(tmp_path, experiment, monkeypatch):
    best = next(trial for trial in cells(experiment) if trial.label == "bb+ccc")
    write_record(tmp_path, failure(best))
    jobs = Jobs(monkeypatch)
    assert train(tmp_path, experiment, retry_failed=True) == 0
    assert [(until, again) for until, again, _ in jobs.submitted] == [(1, True), (4, False), (None, False)]
    assert "bb+ccc" in jobs.submitted[1][2]
