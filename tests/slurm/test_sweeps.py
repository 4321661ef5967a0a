"""Sweeps on a real Slurm, and what can happen to their jobs: in the end one record per trial, with the local bits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.sweep.lease import last_attempt
from ablate.sweep.record import TrialResult, read_record
from tests.slurm.cluster import Cluster
from tests.support.grids import SETTINGS
from tests.support.trials import comparable

LONG = ("--epochs", "600")  # half a minute: long enough to be interrupted


class Sweeps:
    """``ablate grid`` on the tiny folder, run locally or on the cluster."""

    def __init__(self, cluster: Cluster, data: Path, cache: Path) -> None:
        self.cluster = cluster
        self.common = ["--data", f"folder:{data}", "--cache", str(cache), *SETTINGS]
        self.seconds = 0.0  # of the CPU that the long trial takes on this machine, whatever else it is doing

    def ablate(self, *arguments: object, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ablate", *map(str, arguments)],
            env=self.cluster.env | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def grid(self, out: Path, *extra: object, ops: str = "crop", **env: str) -> str:
        return self.ablate("grid", "--ops", ops, "--out", out, *self.common, *extra, **env)

    def submit(self, out: Path, *extra: object, ops: str = "crop", **env: str) -> str:
        """The id of the one job, or array."""
        said = self.grid(out, "--launcher", "slurm", "--cpus", 1, *extra, ops=ops, **env)
        return re.search(r"submitted \d+ jobs? for \d+ trials?: (\d+)", said)[1]

    def wait_until_ended(self, *job_ids: str, timeout: float = 180) -> None:
        def ended() -> bool:
            queued = self.cluster.run("squeue", "-h", "-o", "%F", timeout=30).split()
            return not set(job_ids) & set(queued)

        self.cluster.wait(ended, timeout, f"jobs {job_ids} to end")

    def wait_until_trained(self, out: Path, epochs: int = 100) -> tuple[str, str]:
        """Until the long trial has trained so far; its id, and the node that it is on."""

        def begun() -> tuple[str, str] | None:
            for path in out.glob("running/*/progress.json"):
                if json.loads(path.read_text())["epoch"] >= epochs:
                    attempt = last_attempt(out, path.parent.name)
                    return path.parent.name, attempt.host
            return None

        return self.cluster.wait(begun, 90, "the trial to be under way")


@pytest.fixture(scope="module")
def sweeps(cluster: Cluster, tiny_folder: Path, cache: Path) -> Sweeps:
    return Sweeps(cluster, tiny_folder, cache)


@pytest.fixture(autouse=True)
def leave_it_in_order(cluster: Cluster):
    yield
    cluster.repair()


def records(out: Path) -> dict[str, TrialResult]:
    assert not list(out.glob("running/*"))
    return {path.stem: read_record(path) for path in out.glob("trials/*")}  # nothing else may lie there


def bits(out: Path) -> dict[str, dict]:
    return {trial_id: comparable(record) for trial_id, record in records(out).items()}


@pytest.fixture(scope="module")
def uninterrupted(sweeps: Sweeps, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What the local launcher makes of the sweep that all the following tests interrupt."""
    out = tmp_path_factory.mktemp("local") / "out"
    sweeps.grid(out, *LONG, "--workers", 1)
    sweeps.seconds = long_trial(out).timings["cpu"]
    return bits(out)


def long_trial(out: Path) -> TrialResult:
    return next(record for record in records(out).values() if record.label == "crop")


def test_a_grid_from_submission_to_report_equals_the_local_one(sweeps, tmp_path):
    out = tmp_path / "slurm"
    job = sweeps.submit(out, "--trials-per-job", 4, "--workers", 2, ops="crop,color,blur")
    assert re.search(r"10 trials: .*; 3 jobs: ", sweeps.ablate("status", out))
    assert "nothing to submit" in sweeps.grid(out, "--launcher", "slurm", ops="crop,color,blur")
    said = sweeps.ablate("status", out, "--watch")
    assert "10 trials: 10 done" in said
    sweeps.wait_until_ended(job)
    sweeps.ablate("report", out)
    assert (out / "report" / "heatmap.png").stat().st_size > 0
    sweeps.grid(tmp_path / "local", ops="crop,color,blur")
    assert bits(out) == bits(tmp_path / "local")
    assert {record.attempts for record in records(out).values()} == {1}
    assert len([task for task in sweeps.cluster.jobs() if task["array"] == job]) == 3


def test_a_time_limit_of_a_minute(sweeps, uninterrupted, tmp_path):
    """At the first start, setup lines take from the limit whatever a fast machine would have to spare."""
    wait = max(1, round(38 - sweeps.seconds))
    setup = f'[ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ] || sleep {wait}'
    job = sweeps.submit(tmp_path, *LONG, "--time", 1, "--trials-per-job", 2, "--setup", setup)
    sweeps.wait_until_ended(job, timeout=600)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts >= 2
    assert sweeps.cluster.restarts(job) >= long_trial(tmp_path).attempts - 1


def test_scontrol_requeue(sweeps, uninterrupted, tmp_path):
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    sweeps.wait_until_trained(tmp_path)
    sweeps.cluster.run("scontrol", "requeue", job)
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 2


def test_somebody_more_urgent(sweeps, uninterrupted, tmp_path):
    """Pre-emption: Slurm's warning, a checkpoint, the queue, and on from there."""
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    sweeps.wait_until_trained(tmp_path)
    urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    sweeps.cluster.run("sbatch", "--wait", *urgent, timeout=120)
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 2


def test_a_node_that_dies_in_mid_trial(sweeps, uninterrupted, tmp_path):
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    _, node = sweeps.wait_until_trained(tmp_path)
    sweeps.cluster.kill_node(node)
    assert "1 lost; 1 job: 1 running" in sweeps.ablate("status", tmp_path)  # Slurm does not know yet
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 2


def test_a_daemon_killed_alone_leaves_its_job_beside_the_restarted_one(sweeps, uninterrupted, tmp_path):
    """Two copies of one job: the second one waits for the first, which goes on as if nothing had happened."""
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    trial, node = sweeps.wait_until_trained(tmp_path, 20)
    first = last_attempt(tmp_path, trial)
    os.kill(first.pid, signal.SIGSTOP)  # hold it until its copy is there
    sweeps.cluster.kill_daemon(node)
    sweeps.cluster.wait(lambda: "runs elsewhere" in worker_logs(tmp_path), 90, "the copy to find the first one")
    os.kill(first.pid, signal.SIGCONT)
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 1


def worker_logs(out: Path) -> str:
    return "".join(path.read_text() for path in out.glob("logs/job-*.log"))


def test_scancel_then_the_same_command(sweeps, uninterrupted, tmp_path):
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    sweeps.wait_until_trained(tmp_path)
    sweeps.cluster.run("scancel", job)
    sweeps.wait_until_ended(job)
    assert "1 interrupted" in sweeps.ablate("status", tmp_path)
    again = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    sweeps.wait_until_ended(again)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 2


def test_cancel_takes_this_sweeps_jobs_only(sweeps, tmp_path):
    other = sweeps.cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600").strip()
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 1)
    sweeps.wait_until_trained(tmp_path, 1)
    said = sweeps.ablate("cancel", tmp_path, code=2)
    assert "--yes" in said
    said = sweeps.ablate("cancel", tmp_path, "--yes")
    assert re.search(r"\d jobs?", said)
    sweeps.wait_until_ended(job)
    assert sweeps.cluster.job(other)["state"] == "RUNNING"
    sweeps.cluster.run("scancel", other)


FAILING = """
import torch
import ablate

class Brittle(ablate.Op):
    "Fails on more than a few images."

    def transform(self, images, params):
        if len(images) > 4:
            raise RuntimeError("brittle as glass")
        return images
"""


def test_an_op_that_fails_fails_its_own_cells_only(sweeps, tmp_path):
    info = tmp_path / "plugins" / "plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ablate.ops]\nbrittle = brittle:Brittle\n")
    (info.parent / "brittle.py").write_text(FAILING)
    path = {"PYTHONPATH": os.pathsep.join([str(info.parent), str(Path(__file__).parents[2])])}
    out = tmp_path / "out"
    job = sweeps.submit(out, "--trials-per-job", 5, ops="crop,brittle", **path)
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


def test_the_controller_restarts(sweeps, uninterrupted, tmp_path):
    job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
    sweeps.wait_until_trained(tmp_path, 20)
    sweeps.cluster.stop_controller()
    command = [sys.executable, "-m", "ablate", "grid", "--ops", "crop", "--out", str(tmp_path), "--launcher", "slurm"]
    with subprocess.Popen(
        [*command, *sweeps.common, *LONG, "--cpus", "1"],
        env=sweeps.cluster.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as second:
        said = []
        for line in second.stdout:
            said.append(line)
            if "does not answer" in line:
                sweeps.cluster.start_controller()
        assert second.wait(120) == 0, said
    assert any("trying again" in line for line in said)
    assert any("nothing to submit" in line for line in said)
    sweeps.wait_until_ended(job)
    assert bits(tmp_path) == uninterrupted
    assert long_trial(tmp_path).attempts == 1


def test_a_trial_across_two_nodes_equals_two_local_processes(sweeps, tmp_path):
    out = tmp_path / "slurm"
    job = sweeps.submit(out, "--gpus-per-trial", 2, "--nodes", 2, "--trials-per-job", 2, GLOO_SOCKET_IFNAME="lo")
    sweeps.wait_until_ended(job)
    sweeps.grid(tmp_path / "local", "--world-size", 2, "--workers", 1)
    assert bits(out) == bits(tmp_path / "local")
    assert sweeps.cluster.sacct(job)["nodes"] == "127.0.0.[1-2]"


def test_two_nodes_interrupted(sweeps, tmp_path):
    """The processes on both nodes stop at one step, and go on from it."""
    out = tmp_path / "slurm"
    two = ["--world-size", 2, "--epochs", 40]
    job = sweeps.submit(out, *two, "--nodes", 2, "--trials-per-job", 2, GLOO_SOCKET_IFNAME="lo")
    sweeps.wait_until_trained(out, 3)
    sweeps.cluster.run("scontrol", "requeue", job)
    sweeps.wait_until_ended(job)
    assert long_trial(out).attempts == 2
    sweeps.grid(tmp_path / "local", *two, "--workers", 1)
    assert bits(out) == bits(tmp_path / "local")


def test_without_accounting(tiny_folder, cache, tmp_path):
    """A cluster without slurmdbd, where sacct fails: everything but the reason of a job's end is known all the same."""
    with Cluster(accounting=False) as bare:
        sweeps = Sweeps(bare, tiny_folder, cache)
        job = sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2)
        sweeps.wait_until_trained(tmp_path, 5)
        bare.run("scancel", "--signal=KILL", "--full", job)
        sweeps.wait_until_ended(job)
        said = sweeps.ablate("status", tmp_path)
        assert re.search("1 (lost|interrupted)", said)
        assert f"job {job} has ended with 1 trial not done (its log: " in said
        sweeps.wait_until_ended(sweeps.submit(tmp_path, *LONG, "--trials-per-job", 2))
        assert long_trial(tmp_path).attempts == 2


def test_a_search_on_the_cluster_proposes_what_the_local_one_does(sweeps, tmp_path):
    line = ["search", "--ops", "crop,color,blur", "--budget", 6, "--batch", 3, *sweeps.common]
    sweeps.ablate(*line, "--out", tmp_path / "local", "--workers", 1)
    there = ["--launcher", "slurm", "--cpus", 1, "--out", tmp_path / "slurm"]
    said = sweeps.ablate(*line, *there)
    assert len(re.findall(r"submitted \d+ jobs? for", said)) == 2  # a batch, then the next, in one command
    assert bits(tmp_path / "slurm") == bits(tmp_path / "local")
    assert "is spent" in sweeps.ablate(*line, *there)


def test_a_grid_is_pruned_on_the_cluster_as_locally_also_where_its_command_was_killed(sweeps, tmp_path):
    pruned = ["--epochs", 8, "--prune"]
    sweeps.grid(tmp_path / "local", *pruned, "--workers", 1, ops="crop,color")
    there = ["grid", "--ops", "crop,color", "--out", tmp_path / "slurm", *sweeps.common, *pruned]
    there += ["--launcher", "slurm", "--cpus", 1]
    killed = subprocess.Popen(
        [sys.executable, "-m", "ablate", *map(str, there)],
        env=sweeps.cluster.env,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
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
