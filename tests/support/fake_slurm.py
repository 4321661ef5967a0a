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
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fake_slurm_commands as commands

UNREACHABLE = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


def first_state() -> dict:
    association = {"User": commands.user(), "DefaultAccount": "root", "Account": "root", "Partition": ""}
    return {
        "jobs": {},
        "next": 4001,
        "calls": [],
        "faults": {},
        "slow": {},
        "lost_answers": 0,
        "accounting": True,
        "config": {"MaxArraySize": 1001},
        "partitions": {
            "main": {"max_minutes": None, "default": True},
            "urgent": {"max_minutes": None, "default": False},
        },
        "assoc": [{**association, "MaxSubmitJobs": "", "DefaultQOS": ""}],
        "qos": [{"Name": "normal", "MaxSubmitJobsPU": ""}],
    }


class FakeSlurm:
    """Job ids are strings: a job's, ``12``, names all of an array's tasks; ``12_3`` names one."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir(parents=True)
        self._monkeypatch = monkeypatch
        (directory / "state.json").write_text(json.dumps(first_state()))
        for name in {line.split()[0] for line in commands.ANSWERS}:
            # A shell script, as a #! line is limited in length and cannot hold blanks.
            line = shlex.join([sys.executable, "-S", "-E", commands.__file__, str(directory), name])
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
        """As recorded: ``id``, ``name``, ``script``, ``options``, ``environment``, ``tasks`` ..."""
        with self.state() as state:
            return list(state["jobs"].values())

    def task(self, job_id: str, task: int | None = None) -> dict:
        """``state``, ``restarts``, ... of a plain job or of one task of an array."""
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
        sacct: str | None = None,
    ) -> None:
        """Of a job, of all of an array's tasks, or of one. PENDING after RUNNING is a requeue and counts as a restart.

        ``sacct``: what sacct says instead, as after a dead node: PENDING, while sacct still says NODE_FAIL.
        """
        with self.state() as state:
            for job, index in self._find(state, job_id, task):
                commands.change(job, index, to, reason, sacct)

    @staticmethod
    def _find(state: dict, job_id: str, task: int | None) -> list:
        return commands.selected(state, str(job_id) if task is None else f"{job_id}_{task}")

    # Running a job

    def run(self, job_id: str, task: int | None = None) -> int:
        """Run the batch script to its end with a job's environment; the exit code. The state follows it."""
        return self.finish(self.start(job_id, task), job_id, task)

    def start(self, job_id: str, task: int | None = None) -> subprocess.Popen[bytes]:
        """Start the script and go on; then ``finish``. scancel and ``scontrol requeue`` reach its process group."""
        with self.state() as state:
            job, index = self._find(state, job_id, task)[0]
            commands.change(job, index, "RUNNING")
            environment = self._environment(job, index)
            script = self.directory / f"{job['id']}.sh"
            script.write_text(job["script"])
            with contextlib.ExitStack() as files:
                paths = (Path(commands.log_path(job["options"][name], environment)) for name in ("output", "error"))
                stdout, stderr = (files.enter_context(path.open("ab")) for path in paths)
                process = subprocess.Popen(
                    ["bash", str(script)],
                    cwd=job["directory"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
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
                    commands.change(job, index, "FAILED" if code else "COMPLETED")
        return code

    @staticmethod
    def _environment(job: dict, index: str) -> dict[str, str]:
        """sbatch passes the caller's environment on; the job's own variables come on top."""
        assert job["options"]["nodes"] == "1", "the fake runs jobs of one node only"
        task = job["tasks"][index]
        values = {
            "SLURM_JOB_ID": task["raw_id"],
            "SLURM_JOB_NODELIST": commands.NODE,
            "SLURM_JOB_NUM_NODES": "1",
            "SLURMD_NODENAME": commands.NODE,
            "SLURM_NTASKS": "1",
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
        }
        if task["restarts"]:
            values["SLURM_RESTART_COUNT"] = str(task["restarts"])
        if index:
            values |= {"SLURM_ARRAY_JOB_ID": job["id"], "SLURM_ARRAY_TASK_ID": index}
        return job["environment"] | values

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
