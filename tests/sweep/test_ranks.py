"""Trials of two processes: by the launcher and by torchrun, killed, silenced, interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablate.sweep.record import read_records
from tests.support import commands
from tests.support.cli import ablate
from tests.support.grids import SETTINGS, alive, command, results, wait_for, worker_pids
from tests.training.ranks import free_port


def environment():
    return {name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE"}}


FILE = """
device = "cpu"
compositions = ["crop"]
references = []
data = "folder:{data}"
protocol = ["linear", "knn", "online"]
[set]
world_size = 2
image_size = 16
epochs = {epochs}
batch_size = 16
warmup_epochs = 1
"encoder.name" = "resnet8"
"encoder.width" = 4
"head.hidden" = 8
"head.output" = 4
"optimiser.name" = "adamw"
"optimiser.lr" = 0.01
"""


def launcher(tiny_folder, cache, out, epochs):
    """``ablate run`` of one trial of two processes."""
    file = out.with_name("one.toml")
    file.write_text(FILE.format(data=tiny_folder, epochs=epochs))
    return [sys.executable, "-m", "ablate", "run", file, "--cache", cache, "--out", out, "--workers", "1"]


def torchrun(tiny_folder, cache, out, *extra):
    """``torchrun --nproc-per-node 2 -m ablate train crop``, the launcher's own trial."""
    data = ["--data", f"folder:{tiny_folder}", "--cache", str(cache), "--out", str(out)]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ablate", "train", "crop"]
    return [*start, "--branches", "one", *data, *SETTINGS, *extra]


@pytest.fixture
def start():
    """Starts a command in a session of its own, which does not outlive the test."""
    begun = []

    def begin(line, out):
        begun.append(launch(line, out))
        return begun[-1]

    yield begin
    for process in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def ranks(tmp_path):
    """Runs torchrun's command as its two ranks alone, with the variables that it sets, and returns what both said."""

    def run(line):
        port, begun = str(free_port()), []
        for rank in ("0", "1"):
            said = tmp_path / f"rank {rank} at {port}"
            said.mkdir()
            variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
            variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            begun.append(
                commands.Started(line[:1] + line[line.index("ablate") - 1 :], said, env=environment() | variables)
            )
        ended = [process.wait(240) for process in begun]
        assert not any(done.returncode for done in ended), ended
        return "".join(done.stdout for done in ended)

    return run


def launch(line, out):
    with out.with_name(f"{out.name}.output").open("w") as log:
        return subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True, env=environment())


def checkpointed(out):
    return lambda: any(out.glob("running/*/checkpoint.pt"))


@pytest.fixture(scope="module")
def sweep(tiny_folder, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "out"
    done = commands.run(launcher(tiny_folder, cache, out, 6))
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def cell(out):
    (record,) = results(out).values()
    return record


@pytest.mark.slow
def test_the_launcher_starts_the_processes_of_a_trial(sweep):
    record = cell(sweep)
    assert record["status"] == "done"
    assert record["config"]["world_size"] == 2
    assert {"linear_top1", "online_top1"} <= record["metrics"].keys()
    assert len(record["history"]) == 6
    assert not any("ERROR" in log.read_text() for log in sweep.glob("logs/*-s0.log"))


@pytest.mark.slow
def test_torchrun_gives_the_same_record_and_resumes_bit_for_bit(start, ranks, sweep, tiny_folder, cache, tmp_path):
    """torchrun is told to end; its ranks go on, and find the trial done when they are started once more."""
    out = tmp_path / "out"
    line = torchrun(tiny_folder, cache, out, "--protocol", "linear,knn,online", "--epochs", "6")
    process = start(line, out)
    wait_for(checkpointed(out))
    os.killpg(process.pid, signal.SIGTERM)  # as a scheduler does: torchrun passes it on to every rank
    process.wait(60)
    assert not results(out)
    said = ranks(line)
    (record,) = read_records(out)[0].values()
    assert record.attempts == 2
    assert cell(out) == cell(sweep)
    assert (out / "encoders" / f"{record.id}.safetensors").exists()
    assert said.count("linear_top1: ") == 1  # one process speaks
    assert "epoch 1/" not in ranks(line)
    assert read_records(out)[0][record.id] == record


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_dead_process_ends_the_trial_with_a_record(tiny_folder, cache, tmp_path, victim):
    out = tmp_path / "out"
    process = commands.Started(launcher(tiny_folder, cache, out, 500), tmp_path)
    wait_for(checkpointed(out))
    ranks = ranks_of(out)
    os.kill(ranks[victim], signal.SIGKILL)
    assert process.wait(60).returncode == 1
    (record,) = read_records(out)[0].values()
    assert record.status == "failed"
    assert f"process {victim} of 2 (signal SIGKILL) ended; another process of this trial died" in record.error.message
    assert record.error.type == "LostRank"
    assert (out / "running" / record.id / "checkpoint.pt").exists()  # --retry-failed goes on from it
    assert record.error.traceback
    assert not any(alive(pid) for pid in ranks.values())


def ranks_of(out):
    """The processes of the trial that is running, by rank: its worker, who made the attempt, has started them."""
    (worker,) = worker_pids(out)
    return {rank_of(pid): pid for pid in children(worker)}


@pytest.mark.slow
def test_a_silent_process_is_given_up_after_the_timeout(start, tiny_folder, cache, tmp_path):
    out = tmp_path / "out"
    line = torchrun(tiny_folder, cache, out, "--epochs", "500", "--rank-timeout", "4")
    process = start(line, out)
    wait_for(checkpointed(out))
    ranks = [pid for pid in children(process.pid) if b"train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    by_rank = {rank_of(pid): pid for pid in ranks}
    os.kill(by_rank[1], signal.SIGSTOP)
    started = time.monotonic()
    wait_for(lambda: any(out.glob("trials/*.json")), 60)
    assert time.monotonic() - started < 30  # 4 seconds, a grace and a loaded machine: not a hang
    assert process.wait(60) == 1
    (record,) = read_records(out)[0].values()
    assert record.status == "failed"
    assert "did not answer in time" in record.error.message
    assert not any(alive(pid) for pid in ranks)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rank_of(pid):
    variables = dict(line.split(b"=", 1) for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line)
    return int(variables[b"RANK"])


@pytest.mark.slow
def test_a_killed_launcher_takes_the_processes_along_and_the_same_command_resumes(
    start, sweep, tiny_folder, cache, tmp_path
):
    out = tmp_path / "out"
    line = launcher(tiny_folder, cache, out, 6)
    process = start(line, out)
    wait_for(checkpointed(out))
    ranks = ranks_of(out)
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in ranks.values()), 15)
    done = commands.run(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(out) == results(sweep)


def test_a_grid_under_torchrun_and_a_lonely_rank_are_refused(tiny_folder, cache, tmp_path):
    line = command(tiny_folder, cache, tmp_path / "out", ops="crop")[3:]
    for variables, words in (
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "--world-size"),
        ({"WORLD_SIZE": "2"}, "RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"),
        ({"WORLD_SIZE": "two"}, "number of processes"),
    ):
        done = ablate(*line, **variables)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
