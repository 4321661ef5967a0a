"""The fake's own promises; tests/slurm compares what it prints with a real Slurm."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from tests.support.fake_slurm_commands import user

SCRIPT = """#!/bin/bash
#SBATCH --job-name=trial
#SBATCH --array=0-3%2
#SBATCH --partition=urgent
#SBATCH --time=10
#SBATCH --output=log-%A_%a.out
echo "$SLURM_JOB_ID $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_RESTART_COUNT"
srun -u --output step-%A_%a_%t.out --error step-%A_%a_%t.err -K1 bash -c 'echo out; echo err >&2'
exit 0
"""


def call(*words, check=True, **kwargs):
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=check, **kwargs)


def lines(*words):
    return call(*words).stdout.splitlines()


@pytest.fixture
def array(fake_slurm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "array.sh").write_text(SCRIPT)
    return call("sbatch", "--parsable", "array.sh").stdout.strip()


def test_an_array_waits_runs_and_ends(fake_slurm, array, tmp_path):
    assert fake_slurm.job(array)["options"]["partition"] == "urgent"
    assert lines("squeue", "-h", "-o", "%i|%F|%K|%j|%T|%P") == [f"{array}_[0-3%2]|{array}|0-3%2|trial|PENDING|urgent"]
    assert lines("squeue", "-h", "-r", "-o", "%i %K") == [f"{array}_{k} {k}" for k in range(4)]
    assert fake_slurm.run(array, 1) == 0
    raw = fake_slurm.task(array, 1)["raw_id"]
    assert (tmp_path / f"log-{array}_1.out").read_text() == f"{raw} {array} 1 \n"
    assert (tmp_path / f"step-{array}_1_0.out").read_text() == "out\n"
    assert (tmp_path / f"step-{array}_1_0.err").read_text() == "err\n"
    fake_slurm.set_state(array, "RUNNING", 2, node="127.0.0.2")
    assert lines("squeue", "-h", "-o", "%i %T %N") == [f"{array}_[0,3%2] PENDING ", f"{array}_2 RUNNING 127.0.0.2"]
    states = dict(line.split("|") for line in lines("sacct", "-n", "-P", "-X", "-o", "JobID,State", "-j", array))
    assert states == {f"{array}_[0,3%2]": "PENDING", f"{array}_1": "COMPLETED", f"{array}_2": "RUNNING"}
    call("scancel", f"{array}_2")
    assert lines("sacct", "-n", "-P", "-X", "-o", "State", "-j", f"{array}_2") == [f"CANCELLED by {os.getuid()}"]


def test_a_requeued_job_counts_its_restarts(fake_slurm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = call("sbatch", "--parsable", "--wrap", 'echo "run $SLURM_RESTART_COUNT"; exit 3').stdout.strip()
    running = fake_slurm.start(job)
    call("scontrol", "requeue", job)
    fake_slurm.finish(running, job)
    assert lines("squeue", "-h", "-o", "%i %T", "-j", job) == [f"{job} PENDING"]
    assert fake_slurm.run(job) == 3
    assert (tmp_path / f"slurm-{job}.out").read_text() == "run 1\n"
    assert lines("sacct", "-nPX", "-o", "State,ExitCode", "-j", job) == ["FAILED|3:0"]


def test_faults(fake_slurm, array):
    fake_slurm.fail("squeue", times=1)
    broken = call("squeue", "-h", check=False)
    assert (broken.returncode, "Unable to contact slurm controller" in broken.stderr) == (1, True)
    assert call("squeue", "-h").returncode == 0
    assert fake_slurm.calls("squeue") == 2
    fake_slurm.slow("squeue", 0.3)
    began = time.monotonic()
    call("squeue")
    assert time.monotonic() - began >= 0.3
    fake_slurm.lose_answer()
    lost = call("sbatch", "array.sh", check=False)
    assert (lost.returncode, "Socket timed out on send/recv operation" in lost.stderr) == (1, True)
    assert len(fake_slurm.jobs()) == 2
    fake_slurm.remove("sacct")
    assert shutil.which("sacct") is None
    assert shutil.which("squeue") == str(fake_slurm.bin / "squeue")


def test_it_refuses_what_slurm_refuses(fake_slurm, array):
    for wrong in (["-p", "nowhere"], ["--arrray=1"], ["--array=0-1001"], ["--qos=gold"]):
        assert call("sbatch", *wrong, "array.sh", check=False).returncode != 0
    with fake_slurm.state() as state:
        state["assoc"][0]["MaxSubmitJobs"] = "6"
    assert "MaxSubmitJobLimit" in call("sbatch", "array.sh", check=False).stderr
    shown = lines("sacctmgr", "-nP", "show", "assoc", "where", "cluster=lab", "format=MaxSubmitJobs,User")
    assert shown == [f"6|{user()}"]
    assert len(fake_slurm.jobs()) == 1
