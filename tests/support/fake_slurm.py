"""A Slurm without a cluster: its commands on PATH, over a state that the test sets. Nothing runs by itself.

Use the fixture with ``from tests.support.fake_slurm import fake_slurm``; the commands are in ``fake_slurm_commands``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fake_slurm_commands as commands

UNREACHABLE = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NODES = "127.0.0.[1-2]"
# sacctmgr's columns of a user's association
ASSOCIATION = """
Cluster Account User Partition DefaultAccount DefaultQOS Share Priority GrpJobs GrpSubmitJobs GrpWall MaxJobs
MaxSubmitJobs MaxWall QOS
"""


def first_state() -> dict:
    partition = {"nodes": NODES, "state": "UP", "max_minutes": None, "preempt": "REQUEUE"}
    association = {"Cluster": "lab", "Account": "root", "User": commands.user(), "Share": "1", "QOS": "normal"}
    association["DefaultAccount"] = "root"
    config = {
        "AccountingStorageEnforce": "limits,qos",
        "ClusterName": "lab",
        "MaxArraySize": 1001,
        "MaxJobCount": 10000,
    }
    return {
        "jobs": {},
        "next": 4001,
        "calls": [],
        "faults": {},
        "slow": {},
        "lost_answers": 0,
        "accounting": True,
        "config": {**config, "MaxArraySize": 1001, "MaxJobCount": 10000},
        "partitions": {"main": {**partition, "default": True}, "urgent": {**partition, "default": False}},
        "assoc": [dict.fromkeys(ASSOCIATION.split(), "") | association],
        "qos": [{"Name": "normal", "Priority": "0", "MaxJobsPU": "", "MaxSubmitJobsPU": "", "MaxWall": ""}],
        "clusters": [{"Cluster": "lab", "ControlHost": "127.0.0.1", "ControlPort": "6817"}],
    }


class FakeSlurm:
    """Job ids are strings: a job's, ``12``, names all of an array's tasks; ``12_3`` names one."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir(parents=True)
        self._monkeypatch = monkeypatch
        (directory / "state.json").write_text(json.dumps(first_state()))
        for name in commands.COMMANDS:
            # A shell script, as a #! line is limited in length and cannot hold blanks.
            line = shlex.join([sys.executable, "-S", "-E", commands.__file__, name, str(directory)])
            (self.bin / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (self.bin / name).chmod(0o755)
        for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SRUN", "SQUEUE", "SACCT"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    @contextlib.contextmanager
    def state(self) -> Iterator[dict]:
        """The whole state, to read or to change: ``config``, ``partitions``, ``assoc``, ``qos``, ``accounting``, ..."""
        with commands.locked(self.directory) as state:
            yield state

    # What the cluster does

    def jobs(self) -> list[dict]:
        """As recorded: ``id``, ``name``, ``script``, ``options`` (of #SBATCH and the command line), ``tasks`` ..."""
        with self.state() as state:
            return list(state["jobs"].values())

    def job(self, job_id: str) -> dict:
        with self.state() as state:
            return commands.selected(state, str(job_id))[0][0]

    def task(self, job_id: str, task: int | None = None) -> dict:
        """``state``, ``restarts``, ``node``, ... of a plain job or of one task of an array."""
        with self.state() as state:
            job, index = self._find(state, job_id, task)[0]
            return job["tasks"][index]

    def set_state(
        self,
        job_id: str,
        to: str,
        task: int | None = None,
        *,
        reason: str | None = None,
        node: str | None = None,
        sacct: str | None = None,
    ) -> None:
        """Of a job, of all of an array's tasks, or of one. PENDING after RUNNING is a requeue and counts as a restart.

        ``sacct``: what sacct says instead, as after a dead node: PENDING, while sacct still says NODE_FAIL.
        """
        with self.state() as state:
            for job, index in self._find(state, job_id, task):
                commands.change(job, index, to, reason, node, sacct)

    def forget(self, job_id: str) -> None:
        """squeue and scontrol no longer know the job, as MinJobAge after its end; sacct still does."""
        with self.state() as state:
            for job, index in commands.selected(state, str(job_id)):
                job["tasks"][index]["forgotten"] = True

    def hide_from_sacct(self, job_id: str, hidden: bool = True) -> None:
        """sacct does not know a job yet for up to a few seconds after its submission."""
        with self.state() as state:
            commands.selected(state, str(job_id))[0][0]["unaccounted"] = hidden

    @staticmethod
    def _find(state: dict, job_id: str, task: int | None) -> list:
        return commands.selected(state, str(job_id) if task is None else f"{job_id}_{task}")

    # Running a job

    def run(self, job_id: str, task: int | None = None, **env: str | None) -> int:
        """Run the batch script to its end with a job's environment; the exit code. The state follows it.

        ``env`` comes on top; None takes a variable away: SLURM_JOB_END_TIME is one that older Slurms do not set.
        """
        return self.finish(self.start(job_id, task, **env), job_id, task)

    def start(self, job_id: str, task: int | None = None, **env: str | None) -> subprocess.Popen[bytes]:
        """Start the script and go on; then ``finish``. scancel and ``scontrol requeue`` reach its process group."""
        with self.state() as state:
            job, index = self._find(state, job_id, task)[0]
            commands.change(job, index, "RUNNING")
            environment = self._environment(job, index) | env
            environment = {name: value for name, value in environment.items() if value is not None}
            script = self.directory / f"{job['id']}.sh"
            script.write_text(job["script"])
            with self._files(job, index, environment) as files:
                process = subprocess.Popen(
                    ["bash", str(script)],
                    cwd=job["directory"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    **files,
                )
            job["tasks"][index]["pid"] = process.pid
        return process

    def finish(self, process: subprocess.Popen[bytes], job_id: str, task: int | None = None) -> int:
        """Wait for what ``start`` started. A job that was requeued or cancelled meanwhile stays so."""
        code = process.wait()
        with self.state() as state:
            job, index = self._find(state, job_id, task)[0]
            if job["tasks"][index]["pid"] == process.pid:
                job["tasks"][index]["pid"] = None
                if job["tasks"][index]["state"] == "RUNNING":
                    exit_code = f"{code}:0" if code >= 0 else f"0:{-code}"
                    commands.change(job, index, "FAILED" if code else "COMPLETED", code=exit_code)
        return code

    def _environment(self, job: dict, index: str) -> dict[str, str]:
        """sbatch passes the caller's environment on; the job's own variables come on top."""
        task, options = job["tasks"][index], job["options"]
        nodes = task["node"] if job["nodes"] == 1 else NODES
        values = {
            "SLURM_JOB_ID": task["raw_id"],
            "SLURM_JOBID": task["raw_id"],
            "SLURM_JOB_NAME": job["name"],
            "SLURM_JOB_NODELIST": nodes,
            "SLURM_NODELIST": nodes,
            "SLURM_JOB_NUM_NODES": str(job["nodes"]),
            "SLURM_NNODES": str(job["nodes"]),
            "SLURM_JOB_PARTITION": job["partition"],
            "SLURM_JOB_USER": job["user"],
            "SLURM_CLUSTER_NAME": "lab",
            "SLURM_SUBMIT_DIR": job["directory"],
            "SLURMD_NODENAME": task["node"],
            "SLURM_CPUS_ON_NODE": str(int(options.get("cpus-per-task", 1)) * int(options.get("ntasks-per-node", 1))),
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_JOB_ACCOUNT": options.get("account", "root"),
            "SLURM_JOB_QOS": options.get("qos", "normal"),
            "SLURM_JOB_UID": str(os.getuid()),
            "SLURM_JOB_START_TIME": str(int(task["start"])),
        }
        if job["minutes"]:
            values["SLURM_JOB_END_TIME"] = str(int(time.time() + 60 * job["minutes"]))
        if "cpus-per-task" in options:
            values["SLURM_CPUS_PER_TASK"] = options["cpus-per-task"]
        if "open-mode" in options:
            values["SLURM_OPEN_MODE"] = options["open-mode"][0]
        if "ntasks" in options or "ntasks-per-node" in options:
            tasks = options.get("ntasks") or str(job["nodes"] * int(options["ntasks-per-node"]))
            values |= {"SLURM_NTASKS": tasks, "SLURM_NPROCS": tasks}
        if task["restarts"]:
            values["SLURM_RESTART_COUNT"] = str(task["restarts"])
        if index:
            indices = [int(number) for number in job["tasks"]]
            values |= {
                "SLURM_ARRAY_JOB_ID": job["id"],
                "SLURM_ARRAY_TASK_ID": index,
                "SLURM_ARRAY_TASK_COUNT": str(len(indices)),
                "SLURM_ARRAY_TASK_STEP": "1",
                "SLURM_ARRAY_TASK_MIN": str(min(indices)),
                "SLURM_ARRAY_TASK_MAX": str(max(indices)),
            }
        return json.loads((self.directory / f"{job['id']}.env.json").read_text()) | values

    @staticmethod
    @contextlib.contextmanager
    def _files(job: dict, index: str, environment: dict[str, str]) -> Iterator[dict]:
        """Where the batch script's own output goes, opened, as Popen takes it."""
        options = job["options"]
        mode = "ab" if options.get("open-mode", "t")[0] == "a" else "wb"
        output = options.get("output", "slurm-%A_%a.out" if index else "slurm-%j.out")
        names = {"stdout": output, "stderr": options.get("error", "")}
        with contextlib.ExitStack() as stack:
            files: dict = {"stderr": subprocess.STDOUT}
            for stream, name in names.items():
                if name:
                    path = Path(job["directory"]) / commands.log_path(name, 0, environment)
                    files[stream] = stack.enter_context(path.open(mode))
            yield files

    # Faults

    def fail(self, command: str, times: int = 1, stderr: str = UNREACHABLE, code: int = 1) -> None:
        with self.state() as state:
            state["faults"][command] = {"times": times, "stderr": stderr, "code": code}

    def slow(self, command: str, seconds: float) -> None:
        """Every call of the command takes so much longer; 0 ends it."""
        with self.state() as state:
            state["slow"][command] = seconds

    def lose_answer(self, times: int = 1) -> None:
        """sbatch registers its job, but says that it timed out."""
        with self.state() as state:
            state["lost_answers"] = times

    def remove(self, command: str) -> None:
        """The command is not found, even on a machine that has a real one."""
        (self.bin / command).unlink()
        folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
        self._monkeypatch.setenv("PATH", os.pathsep.join(str(self._without(folder, command)) for folder in folders))

    def _without(self, folder: Path, command: str) -> Path:
        """``folder``, or links to all that it holds but the command."""
        if not (folder / command).exists():
            return folder
        mirror = self.directory / "mirrors" / f"{command}{str(folder).replace('/', '+')}"
        mirror.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            if entry.name != command and not (mirror / entry.name).is_symlink():
                (mirror / entry.name).symlink_to(entry)
        assert shutil.which(command, path=str(mirror)) is None
        return mirror

    def calls(self, command: str) -> int:
        """How often it was called."""
        return len(self.arguments(command))

    def arguments(self, command: str) -> list[list[str]]:
        """What each call of it was given."""
        with self.state() as state:
            return [call[1:] for call in state["calls"] if call[0] == command]


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path / "fake-slurm", monkeypatch)
