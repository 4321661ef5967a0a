"""What ``ablate status`` says of a sweep whose jobs a (fake) Slurm has."""

from __future__ import annotations

import time

import pytest

from ablate.launch.monitor import watch_status
from ablate.launch.screen import print_status
from ablate.launch.slurm.past import look_up
from ablate.launch.status import sweep_status
from ablate.sweep.lease import claim, release


@pytest.fixture
def said(sweep):
    def ask() -> str:
        with sweep.listening() as console:
            print_status(sweep_status(sweep.directory, *look_up(sweep.directory)), console)
        return sweep.said

    return ask


def test_queued_running_and_done(sweep, fake_slurm, said):
    sweep.submit(trials_per_job=5)
    fake_slurm.set_state("4001", "RUNNING", 0)
    fake_slurm.set_state("4001", "PENDING", 1, reason="Resources")
    sweep.record(sweep.trials[0])
    with claim(sweep.directory, sweep.trials[1]):
        text = said()
    assert "10 trials: 1 done, 1 running, 8 queued; 2 jobs: 1 running, 1 pending (Resources)" in text
    assert "to complete it" not in text
    assert fake_slurm.calls("squeue") == 2  # one to submit, one for status


def test_a_job_that_is_over_with_trials_undone_names_its_log(sweep, fake_slurm, said):
    sweep.submit(trials_per_job=5)
    fake_slurm.set_state("4001", "FAILED", 0)
    fake_slurm.set_state("4001", "COMPLETED", 1)
    for trial in sweep.trials[5:]:
        sweep.record(trial)
    sweep.record(sweep.trials[0])
    text = said()
    assert "10 trials: 6 done, 4 missing\n" in text
    (token,) = (submission.token for submission in sweep.submissions())
    log = sweep.directory / "jobs" / token / "4001_0_0_log.err"
    assert f"job 4001_0 has ended with 4 trials not done (its log: {log})" in text
    assert "4001_1" not in text
    assert "to complete it" in text
    sweep.submit(trials_per_job=5)
    assert "is over" not in said()  # what was submitted again is no longer the first job's


def test_a_process_that_is_gone_is_lost_before_slurm_knows(sweep, fake_slurm, said, monkeypatch):
    sweep.submit()
    fake_slurm.set_state("4001", "RUNNING", 0)
    monkeypatch.setenv("SLURM_JOB_ID", "4002")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4001")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    with claim(sweep.directory, sweep.trials[0]) as lease:
        content = lease.path.read_text()
    lease.path.write_text(content)  # unreleased, and this process no longer claims it
    assert "1 lost" in said()
    fake_slurm.set_state("4001", "PENDING", 0)  # now it does
    assert "10 queued" in said()
    release(sweep.directory, sweep.trials[0], lease.number)
    fake_slurm.set_state("4001", "CANCELLED", 0)
    assert "1 interrupted" in said()


def test_without_squeue_the_disk_alone(sweep, no_slurm, said):
    sweep.submit()
    no_slurm()
    text = said()
    assert "10 trials: 0 done, 10 missing" in text
    assert "submitted: 10 jobs; to see which are still queued, run this command on a machine with squeue" in text


def test_a_silent_controller_is_not_waited_for(sweep, fake_slurm, said):
    sweep.submit()
    fake_slurm.fail("squeue", times=5)
    assert "this comes from the files alone; the Slurm controller does not answer" in said()


def test_watch_ends_when_nothing_is_left_to_wait_for(sweep, fake_slurm, monkeypatch):
    sweep.submit(trials_per_job=10)
    naps, sleep = [], time.sleep

    def nap(seconds: float) -> None:
        if seconds < 30:
            return sleep(seconds)  # a subprocess's
        naps.append(seconds)
        for trial in sweep.trials:
            sweep.record(trial)
        fake_slurm.set_state("4001", "COMPLETED")

        return None

    monkeypatch.setattr(time, "sleep", nap)
    monkeypatch.setattr(time, "monotonic", lambda: 30.0 * len(naps))
    with sweep.listening() as console:
        watch_status(sweep.directory, console, 30.0)
    assert naps == [30.0]
    assert "10 trials: 10 done\n" in sweep.said
