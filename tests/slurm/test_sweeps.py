"""Sweeps on a real Slurm, and what can happen to their jobs: in the end one record per trial, with the local bits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest

from ablate.sweep.attempts import last_attempt
from tests.slurm.cluster import Cluster
from tests.slurm.sweeps import LONG, Held, Sweeps, bits, records
from tests.support.in_process import train_here, without_workers

TWO = ("--world-size", "2", "--epochs", "20")

pytestmark = pytest.mark.usefixtures("leave_it_in_order")


@pytest.fixture(scope="module")
def uninterrupted(sweeps: Sweeps, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], dict[str, dict]]:
    """What this process makes of the sweep, which is trained once for all the tests that interrupt it."""
    here = tmp_path_factory.mktemp("here")

    def trained(out: Path) -> dict[str, dict]:
        if not records(here):
            train_here(out, sweeps.cache, here)
        return bits(here)

    return trained


@pytest.fixture(scope="module")
def two_here(sweeps: Sweeps, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What two processes on this machine make of a sweep."""
    out = tmp_path_factory.mktemp("two") / "out"
    sweeps.grid(out, *TWO, "--workers", 1, ops="brake")
    return bits(out)


def test_a_grid_from_submission_to_report_has_the_bits_of_one_process(sweeps, tmp_path):
    out = tmp_path / "slurm"
    job = sweeps.submit(out, "--trials-per-job", 2, "--workers", 2, ops="crop,color")
    assert re.search(r"5 trials: .*; 3 jobs: ", sweeps.ablate("status", out))
    assert "nothing to submit" in sweeps.grid(out, "--launcher", "slurm", ops="crop,color")
    said = sweeps.ablate("status", out, "--watch", "--every", 1)
    assert "5 trials: 5 done" in said
    sweeps.wait_until_ended(job)
    sweeps.ablate("report", out)
    assert (out / "report" / "heatmap.png").stat().st_size > 0
    train_here(out, sweeps.cache, tmp_path / "here")
    assert bits(out) == bits(tmp_path / "here")
    assert {record.attempts for record in records(out).values()} == {1}
    assert len([task for task in sweeps.cluster.jobs() if task["array"] == job]) == 3


def test_a_time_limit_of_a_minute(held, uninterrupted):
    job = held.submit("--time", 1)
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(job, timeout=600)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts >= 2
    assert held.cluster.restarts(job) >= held.attempts - 1


def test_scontrol_requeue(held, uninterrupted):
    job = held.submit()
    held.wait_until_trained()
    held.cluster.run("scontrol", "requeue", job)
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(job)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 2


def test_somebody_more_urgent(held, uninterrupted):
    """Pre-emption: Slurm's warning, a checkpoint, the queue, and on from there."""
    job = held.submit()
    held.wait_until_trained()
    urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    held.cluster.run("sbatch", "--wait", *urgent, timeout=120)
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(job)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 2


def test_a_node_that_dies_in_mid_trial(held, uninterrupted):
    job = held.submit()
    _, node = held.wait_until_trained()
    held.cluster.kill_node(node)
    held.cluster.wait(  # Slurm does not know yet
        lambda: "1 lost; 1 job: 1 running" in held.sweeps.ablate("status", held.out), what="the trial to count as lost"
    )
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(job)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 2


def test_a_daemon_killed_alone_leaves_its_job_beside_the_restarted_one(held, uninterrupted):
    """Two copies of one job: the second one waits for the first, which goes on as if nothing had happened."""
    job = held.submit()
    trial, node = held.wait_until_trained()
    first = last_attempt(held.out, trial)
    os.kill(first.pid, signal.SIGSTOP)  # hold it until its copy is there
    held.cluster.kill_daemon(node)
    held.cluster.wait(
        lambda: "another process is at work on this trial" in worker_logs(held.out),
        what="the copy to find the first one",
    )
    os.kill(first.pid, signal.SIGCONT)
    held.let_go()
    held.sweeps.wait_until_ended(job)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 1


def worker_logs(out: Path) -> str:
    return "".join(path.read_text() for path in out.glob("logs/job-*.log"))


def test_scancel_then_the_same_command(held, uninterrupted):
    job = held.submit()
    held.wait_until_trained()
    held.cluster.run("scancel", job)
    held.sweeps.wait_until_ended(job)
    assert "1 interrupted" in held.sweeps.ablate("status", held.out)
    again = held.submit()
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(again)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 2


def test_cancel_takes_this_sweeps_jobs_only(held):
    other = held.cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600").strip()
    job = held.submit("--trials-per-job", 1)
    held.wait_until_trained()
    said = held.sweeps.ablate("cancel", held.out, code=2)
    assert "--yes" in said
    said = held.sweeps.ablate("cancel", held.out, "--yes")
    assert re.search(r"\d jobs?", said)
    held.sweeps.wait_until_ended(job)
    assert held.cluster.job(other)["state"] == "RUNNING"
    held.cluster.run("scancel", other)


def test_an_op_that_fails_fails_its_own_cells_only(sweeps, tmp_path):
    out = tmp_path / "out"
    job = sweeps.submit(out, "--trials-per-job", 5, ops="crop,brittle")
    sweeps.wait_until_ended(job)
    found = {record.label: record for record in records(out).values()}
    assert {label: record.status for label, record in found.items()} == {
        "untrained": "done", "crop": "done", "brittle": "failed", "crop+brittle": "failed", "brittle+crop": "failed",
    }  # fmt: skip
    error = found["brittle"].error
    assert error.message == "brittle as glass"
    assert "Traceback" in error.traceback
    said = sweeps.ablate("status", out)
    assert f"logs/{found['brittle'].id}.log" in said
    assert "brittle as glass" in sweeps.ablate("logs", out, "brittle")


def test_the_controller_restarts(held, uninterrupted):
    job = held.submit()
    held.wait_until_trained()
    held.cluster.stop_controller()
    same = ["grid", "--ops", "brake", "--out", held.out, "--launcher", "slurm", "--cpus", 1, *held.sweeps.common, *LONG]
    with held.sweeps.start(*same, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as second:
        said = []
        for line in second.stdout:
            said.append(line)
            if "does not answer" in line:
                held.cluster.start_controller()
        assert second.wait(120) == 0, said
    assert any("trying again" in line for line in said)
    assert any("nothing to submit" in line for line in said)
    held.let_go()
    held.sweeps.wait_until_ended(job)
    assert bits(held.out) == uninterrupted(held.out)
    assert held.attempts == 1


def test_a_trial_across_two_nodes_equals_two_local_processes(sweeps, two_here, tmp_path):
    two = ["--gpus-per-trial", 2, *TWO[2:]]
    job = sweeps.submit(tmp_path, *two, "--nodes", 2, "--trials-per-job", 2, ops="brake")
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == two_here
    assert sweeps.cluster.sacct(job)["nodes"] == "127.0.0.[1-2]"


def test_two_nodes_interrupted(held, two_here):
    """The processes on both nodes stop at one step, and go on from it."""
    job = held.submit(*TWO, "--nodes", 2)
    held.wait_until_trained()
    held.cluster.run("scontrol", "requeue", job)
    held.let_go(attempt=2)
    held.sweeps.wait_until_ended(job)
    assert held.attempts == 2
    assert bits(held.out) == two_here


def test_without_accounting(sweeps, tmp_path):
    """A cluster without slurmdbd, where sacct fails: everything but the reason of a job's end is known all the same."""
    with Cluster(accounting=False) as bare:
        there = copy(sweeps)
        there.cluster = bare
        held = Held(there, tmp_path)
        job = held.submit()
        held.wait_until_trained()
        bare.run("scancel", "--signal=KILL", "--full", job)
        held.sweeps.wait_until_ended(job)
        said = held.sweeps.ablate("status", held.out)
        assert re.search("1 (lost|interrupted)", said)
        assert f"job {job} has ended with 1 trial not done (its log: " in said
        again = held.submit()
        held.let_go(attempt=2)
        held.sweeps.wait_until_ended(again)
        assert held.attempts == 2


def test_a_grid_is_pruned_on_the_cluster_as_locally_also_where_its_command_was_killed(sweeps, tmp_path):
    pruned = ["--epochs", 8, "--prune"]
    with without_workers():
        sweeps.grid(tmp_path / "local", *pruned, ops="crop,color")
    there = ["grid", "--ops", "crop,color", "--out", tmp_path / "slurm", *sweeps.common, *pruned]
    there += ["--launcher", "slurm", "--cpus", 1, "--trials-per-job", 3]
    killed = sweeps.start(*there, stdout=subprocess.DEVNULL)
    sweeps.cluster.wait(lambda: list(tmp_path.glob("slurm/running/*/parked.json")), 120, "a trial at the first rung")
    killed.kill()
    killed.wait()
    said = sweeps.ablate(*there)
    untils = [json.loads(path.read_text())["until"] for path in tmp_path.glob("slurm/jobs/*.json")]
    assert untils.count(1) == 1  # the jobs of the command that was killed were waited for
    assert {4, None} < set(untils)
    assert "now up to epoch 4" in said
    assert bits(tmp_path / "slurm") == bits(tmp_path / "local")
    assert sum(json.loads(p.read_text())["status"] == "pruned" for p in tmp_path.glob("slurm/trials/*.json")) == 3
    assert "pruned" in sweeps.ablate("status", tmp_path / "slurm")
