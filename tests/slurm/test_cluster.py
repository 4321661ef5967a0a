"""The cluster itself, before anything of ours runs on it: quick, as the other tests rely on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import submitit

from tests.slurm import processes
from tests.slurm.cluster import PATIENCE, TOKEN, Cluster, ClusterError

# Longer than any wait, shorter than what would hang a lane; the file says where, when and how often it ran.
SCRIPT = """#!/bin/bash
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={out}
echo "$SLURMD_NODENAME restarts=${{SLURM_RESTART_COUNT:-0}} pid=$$"
while [ ! -e {go} ]; do sleep 0.1; done
echo done
"""


@pytest.fixture
def executor(on_cluster, tmp_path):
    executor = submitit.AutoExecutor(folder=tmp_path / "submitit")
    assert executor.cluster == "slurm"
    executor.update_parameters(timeout_min=5, slurm_signal_delay_s=30)
    return executor


class Waiting:
    """A job that runs until ``finish``; ``node`` is where it started."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.out, self.go = cluster, folder / "out", folder / "go"
        (folder / "job.sh").write_text(SCRIPT.format(out=self.out, go=self.go))
        self.id = cluster.run("sbatch", "--parsable", folder / "job.sh").strip()
        cluster.wait(self.lines, what="the job to start")
        self.node, restarts, self.process = re.match(r"(\S+) restarts=(\d+) pid=(\d+)$", self.lines()[0]).groups()
        assert restarts == "0"

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    def is_alive(self) -> bool:
        return processes.name(int(self.process)) == "slurm_script"

    def finish(self) -> None:
        self.go.touch()
        self.cluster.wait(lambda: self.cluster.job(self.id)["state"] == "COMPLETED", what="the job to end")


def test_a_submitted_function_returns(executor, on_cluster):
    job = executor.submit(os.getenv, "SLURM_JOB_ID")
    assert job.result() == job.job_id
    on_cluster.wait(lambda: on_cluster.sacct(job.job_id).get("state") == "COMPLETED", what="sacct to know it")


def test_an_array(executor):
    jobs = executor.map_array(lambda a, b: a + b, range(4), range(4))
    assert [job.result() for job in jobs] == [0, 2, 4, 6]
    assert len({job.job_id.split("_")[0] for job in jobs}) == 1


def test_a_job_gets_the_gpus_it_asks_for(executor):
    executor.update_parameters(gpus_per_node=2)
    assert executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "0,1"


def test_a_failure_is_accounted_for(on_cluster):
    job = on_cluster.run("sbatch", "--parsable", "--wrap", "exit 3", "--output=/dev/null").strip()
    ended = on_cluster.wait(lambda: (row := on_cluster.sacct(job)).get("state") == "FAILED" and row)
    assert ended["exit_code"] == "3:0"


def test_a_job_moves_from_a_dead_node(on_cluster, tmp_path):
    job = Waiting(on_cluster, tmp_path)
    (other,) = set(on_cluster.nodes) - {job.node}
    on_cluster.kill_node(job.node)
    assert not job.is_alive()
    on_cluster.wait(lambda: len(job.lines()) == 2, what="the job to start again")
    assert job.lines()[1].startswith(f"{other} restarts=1")
    on_cluster.wait(lambda: on_cluster.sacct(job.id)["state"] == "RUNNING", what="sacct to know it")
    assert on_cluster.sacct(job.id)["restarts"] == 1
    on_cluster.revive(job.node)
    job.finish()
    assert job.lines()[2:] == ["done"]


def test_a_job_outlives_its_daemon(on_cluster, tmp_path):
    job = Waiting(on_cluster, tmp_path)
    on_cluster.kill_daemon(job.node)
    assert job.is_alive()
    on_cluster.revive(job.node)
    assert on_cluster.job(job.id)["state"] == "RUNNING"
    job.finish()
    assert job.lines()[1:] == ["done"]


def test_a_job_outlives_the_controller(on_cluster, tmp_path):
    job = Waiting(on_cluster, tmp_path)
    on_cluster.stop_controller()
    with pytest.raises((subprocess.CalledProcessError, subprocess.TimeoutExpired)):
        on_cluster.run("squeue", timeout=3)
    on_cluster.start_controller()
    job.finish()
    assert job.lines()[1:] == ["done"]


def test_the_stop_leaves_nothing():
    with Cluster(accounting=False, max_array_size=17) as small:
        assert "MaxArraySize            = 17\n" in small.run("scontrol", "show", "config")
        small.run("sbatch", "--wrap", "setsid sleep 1000 & sleep 1000", "--output=/dev/null")
        token = f"{TOKEN}={small.token}"
        sleeping = lambda: [p for p in processes.holding(token) if processes.name(p) == "sleep"]  # noqa: E731
        small.wait(lambda: len(sleeping()) == 2, what="the job to start")
    assert processes.holding(token) == set()
    assert not small.directory.exists()


def test_a_failed_start_keeps_its_logs(monkeypatch):
    monkeypatch.setattr("tests.slurm.configuration.SLURM", "ClusterName=lab\nNoSuchSetting=1\n")
    broken = Cluster(accounting=False)
    with pytest.raises(ClusterError, match=r"(?s)slurmctld.*NoSuchSetting"):
        broken.start()
    assert processes.holding(f"{TOKEN}={broken.token}") == set()
    broken.stop()
    assert not broken.directory.exists()


def test_a_killed_session_leaves_nothing(tmp_path):
    session = """
import os, pathlib, signal, sys
from tests.slurm.cluster import Cluster
cluster = Cluster(accounting=False)
cluster.start()
pathlib.Path(sys.argv[1]).write_text(f"{cluster.token} {cluster.directory}")
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", session, tmp_path / "said"], cwd=root, timeout=PATIENCE, check=False)
    assert killed.returncode == -signal.SIGKILL
    token, directory = (tmp_path / "said").read_text().split()
    deadline = time.monotonic() + PATIENCE
    while processes.holding(f"{TOKEN}={token}") or Path(directory).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
