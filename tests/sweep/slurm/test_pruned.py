"""Pruning on a cluster: jobs up to a rung, the command that waits for them, and jobs for what goes on."""

from __future__ import annotations

import pytest
from rich.console import Console

from ablate.config.slurm import Slurm
from ablate.files import write_atomically
from ablate.launch import start as launch
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.slurm.submission import note_cancelling
from ablate.launch.status import sweep_status
from ablate.launch.timing import TrialTime
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.prune import RUNGS
from ablate.sweep.record import read_record
from tests.support.parking import park
from tests.support.sweeps import failure, make_experiment, record, write_record


@pytest.fixture
def experiment():
    """With rungs after the first epoch and after the fourth of eight; the sweep's, too."""
    made = make_experiment(["a", "bb", "ccc"])
    return made.model_copy(update={"prune": RUNGS, "shared": made.shared.model_copy(update={"epochs": 8})})


def cells(experiment):
    return [trial for trial in plan(experiment) if trial.reference is None]


def test_up_to_a_rung_only_cells_that_are_not_there_are_submitted(sweep, fake_slurm):
    first, *others = cells(sweep.experiment)
    park(sweep.directory, first, 0.5)
    assert sweep.submit(until=1) == 0
    (submission,) = sweep.submissions()
    assert submission.until == 1
    untrained = [trial.id for trial in plan(sweep.experiment) if trial.reference == "untrained"]
    assert set(sweep.placed()) == {*untrained, *(trial.id for trial in others)}
    assert "now up to epoch 1" in sweep.said


def test_a_job_tells_its_workers_how_far(in_job, sweep, stub_worker):
    stub_worker('say("ready")\nfor line in given():\n    say("done", line.split()[0])\n')
    in_job(trials=3, until=1)()
    ids = [trial.id for trial in plan(sweep.experiment)[:3]]
    assert (sweep.directory / "given").read_text().splitlines() == [f"{trial_id} 1" for trial_id in ids]


def test_a_dry_run_shows_the_jobs_up_to_the_first_rung_and_what_all_costs(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr("ablate.launch.slurm.dry_run.measured", lambda *_: TrialTime(3600.0, "measured"))
    with sweep.listening() as console:
        experiment = sweep.experiment.model_copy(update={"slurm": Slurm()})
        show_submission(sweep.directory, experiment, sweep.directory, False, console)
    assert "pruned after epoch 1 to 4 cells, and after epoch 4 to 1 cell" in sweep.said
    assert "10 jobs up to epoch 1 in 1 array" in sweep.said
    assert "estimated: 3.47 core hours" in sweep.said


class Jobs:
    """In place of sbatch and the jobs: what was submitted comes to its rung, or record, while it is waited for.

    ``lame``: how many trials the jobs of a submission come to, where not to all. ``busy``: the first so many times jobs
    from before are waited for, and nothing is submitted. ``fails``: a cell whose trials fail in the end.
    """

    def __init__(self, monkeypatch, lame=(), busy=0, fails="", cancelled_after=None):
        self.submitted: list[tuple[int | None, bool, set[str]]] = []
        self.lame, self.busy, self.fails, self.cancelled_after = list(lame), busy, fails, cancelled_after
        monkeypatch.setattr(launch, "submit_sweep", self.submit)
        monkeypatch.setattr(launch, "looks", lambda directory, every: iter(()))

    def submit(self, directory, experiment, cache, retry_failed, console, *, until):
        save_plan(directory, experiment)
        for trial in plan(experiment):
            path = SweepDir(directory).record(trial.id)
            aside = {"failed": retry_failed, "pruned": not experiment.prune, "done": False}
            if path.exists() and aside[read_record(path).status]:
                path.unlink()
        if self.busy:
            self.busy -= 1
            return 0
        waiting = launch.short_of(directory, plan(experiment), until)
        self.submitted.append((until, retry_failed, {trial.label for trial in waiting}))
        if waiting:
            write_atomically(directory / "jobs" / f"{len(self.submitted)}.json", "")
        if len(self.submitted) == self.cancelled_after:
            note_cancelling(directory)
        for trial in waiting[: self.lame.pop(0) if self.lame else None]:
            if trial.reference and trial.label != self.fails:
                write_record(directory, record(trial, metrics={}))
            elif until is None or trial.reference:
                write_record(directory, failure(trial) if trial.label == self.fails else record(trial))
            else:
                park(directory, trial, len(trial.label) / 100, until)
        return 0


def train(directory, experiment, retry_failed=False):
    with launch.training_there(directory, "rung", directory, retry_failed, Console(quiet=True)) as run:
        return run(experiment)


def test_all_go_to_a_rung_and_the_best_beyond(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch)
    assert train(tmp_path, experiment) == 0
    everything, some, last = (labels for _, _, labels in jobs.submitted)
    assert [until for until, _, _ in jobs.submitted] == [1, 4, None]
    assert len(everything) == 10  # and the untrained encoder, which a rung compares with
    assert some == {"ccc+bb", "bb+ccc", "ccc+a", "a+ccc"}  # the longest
    assert len(last) == 1
    statuses = [read_record(SweepDir(tmp_path).record(t.id)).status for t in plan(experiment)]
    assert sorted(statuses) == ["done"] * 2 + ["pruned"] * 8
    assert not any(SweepDir(tmp_path).begun(t.id).exists() for t in cells(experiment) if t.label not in last)


def test_what_jobs_left_undone_is_submitted_again_before_anything_is_pruned(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[5])
    assert train(tmp_path, experiment) == 0
    assert [(until, len(labels)) for until, _, labels in jobs.submitted] == [(1, 10), (1, 5), (4, 4), (None, 1)]
    whole = Jobs(monkeypatch)
    assert train(tmp_path / "whole", experiment) == 0
    assert whole.submitted[-1] == jobs.submitted[-1]


def test_jobs_that_do_nothing_are_not_submitted_for_ever(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[5, 0])
    assert train(tmp_path, experiment) == 1
    assert [until for until, _, _ in jobs.submitted] == [1, 1]
    # nothing is pruned that others have not been compared with
    assert not any(SweepDir(tmp_path).record(t.id).exists() for t in cells(experiment))


def test_failed_trials_are_retried_up_to_the_rung_and_compete(tmp_path, experiment, monkeypatch):
    best = next(trial for trial in cells(experiment) if trial.label == "bb+ccc")
    write_record(tmp_path, failure(best))
    jobs = Jobs(monkeypatch)
    assert train(tmp_path, experiment, retry_failed=True) == 0
    assert [(until, again) for until, again, _ in jobs.submitted] == [(1, True), (4, False), (None, False)]
    assert "bb+ccc" in jobs.submitted[1][2]


def test_a_reference_that_failed_is_retried_in_the_end(tmp_path, experiment, monkeypatch):
    Jobs(monkeypatch)
    train(tmp_path, experiment)
    reference = next(trial for trial in plan(experiment) if trial.reference)
    write_record(tmp_path, failure(reference))
    again = Jobs(monkeypatch)
    assert train(tmp_path, experiment, retry_failed=True) == 0
    assert again.submitted == [(1, True, {"untrained"})]


def test_jobs_that_were_there_before_are_waited_for_and_count_as_no_failure(tmp_path, experiment, monkeypatch):
    for trial in cells(experiment):
        park(tmp_path, trial, len(trial.label) / 100, 1)
    jobs = Jobs(monkeypatch, busy=2)
    assert train(tmp_path, experiment) == 0
    assert [(until, len(labels)) for until, _, labels in jobs.submitted] == [(1, 1), (4, 4), (None, 1)]


def test_a_sweep_that_was_cancelled_is_not_submitted_again_by_the_command_that_waits(tmp_path, experiment, monkeypatch):
    jobs = Jobs(monkeypatch, lame=[5], cancelled_after=1)
    assert train(tmp_path, experiment) == 1
    assert len(jobs.submitted) == 1
    assert train(tmp_path, experiment) == 0  # the same command goes on


def test_failures_are_in_the_exit_code(tmp_path, experiment, monkeypatch):
    Jobs(monkeypatch, fails="untrained")
    assert train(tmp_path, experiment) == 1
    assert train(tmp_path, experiment) == 1


def test_without_sweep_the_same_command_trains_the_rest(tmp_path, experiment, monkeypatch):
    Jobs(monkeypatch)
    train(tmp_path, experiment)
    jobs = Jobs(monkeypatch)
    assert train(tmp_path, experiment.model_copy(update={"prune": ()})) == 0
    assert [(until, len(labels)) for until, _, labels in jobs.submitted] == [(None, 8)]
    assert {read_record(SweepDir(tmp_path).record(t.id)).status for t in plan(experiment)} == {"done"}


def test_a_dry_run_counts_what_is_retried_and_what_was_pruned(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr("ablate.launch.slurm.dry_run.measured", lambda *_: TrialTime(3600.0, "measured"))
    trials = plan(sweep.experiment)
    save_plan(sweep.directory, sweep.experiment)
    for trial in trials[:-2]:
        write_record(sweep.directory, record(trial))
    write_record(sweep.directory, failure(trials[-2]))
    write_record(sweep.directory, record(trials[-1], status="pruned", metrics={}))
    with sweep.listening() as console:
        experiment = sweep.experiment.model_copy(update={"slurm": Slurm(), "prune": ()})
        show_submission(sweep.directory, experiment, sweep.directory, True, console)
    assert "2 jobs in 1 array" in sweep.said


def test_whoever_watches_knows_that_somebody_waits_for_the_jobs(tmp_path, experiment):
    save_plan(tmp_path, experiment)
    with launch.training_there(tmp_path, "batch", tmp_path, False, Console(quiet=True)):
        status = sweep_status(tmp_path)
        assert status.is_idle
        assert not status.is_over
    assert sweep_status(tmp_path).is_over
