"""Sweeps of the tiny folder on the cluster, what interrupts them, and the records that they leave."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ablate.sweep.attempts import last_attempt
from ablate.sweep.record import TrialResult, read_record
from tests.slurm.cluster import Cluster
from tests.slurm.ops import HELD, ROOT
from tests.support.cli import ablate
from tests.support.grids import SETTINGS
from tests.support.trials import comparable

LONG = ("--epochs", "60", "--trials-per-job", "2")  # held, it takes two minutes; let go, two seconds


class Sweeps:
    """``ablate grid`` on the tiny folder, run locally or on the cluster; the command itself runs in this process."""

    def __init__(self, cluster: Cluster, data: Path, cache: Path, python_path: str) -> None:
        self.cluster, self.cache = cluster, cache
        self.common = ["--data", f"folder:{data}", "--preset", "one-gpu", "--cache", str(cache), *SETTINGS]
        self.python_path = python_path

    @property
    def env(self) -> dict[str, str]:
        return self.cluster.env | {"PYTHONPATH": self.python_path, "GLOO_SOCKET_IFNAME": "lo"}

    def ablate(self, *arguments: object, code: int = 0, **env: str) -> str:
        done = ablate(*arguments, **self.env | env)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: object, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        line = [sys.executable, "-m", "ablate", *map(str, arguments)]
        return subprocess.Popen(line, env=self.env | (env or {}), text=True, cwd=ROOT, **options)

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


class Held:
    """A sweep on the cluster with one trial that takes its time until it is let go, after the untrained reference."""

    def __init__(self, sweeps: Sweeps, folder: Path) -> None:
        self.sweeps, self.cluster, self.out, self.file = sweeps, sweeps.cluster, folder / "out", folder / "held"
        self.file.touch()

    def submit(self, *extra: object) -> str:
        return self.sweeps.submit(self.out, *LONG, *extra, ops="brake", **{HELD: str(self.file)})

    def wait_until_trained(self) -> tuple[str, str]:
        """Until it has trained an epoch; its id, and the node that it is on."""

        def begun() -> tuple[str, str] | None:
            for path in self.out.glob("running/*/progress.json"):
                if json.loads(path.read_text())["epoch"] >= 1:
                    return path.parent.name, last_attempt(self.out, path.parent.name).host
            return None

        return self.cluster.wait(begun, what="the trial to be under way")

    def let_go(self, *, attempt: int = 1) -> None:
        """Let it train on, once this attempt at it has begun."""
        self.cluster.wait(lambda: list(self.out.glob(f"running/*/attempt-{attempt}.json")), 180, f"attempt {attempt}")
        self.file.unlink()

    @property
    def attempts(self) -> int:
        return next(record.attempts for record in records(self.out).values() if record.label == "brake")


def records(out: Path) -> dict[str, TrialResult]:
    assert not list(out.glob("running/*"))
    return {path.stem: read_record(path) for path in out.glob("trials/*")}  # nothing else may lie there


def bits(out: Path) -> dict[str, dict]:
    return {trial_id: comparable(record) for trial_id, record in records(out).items()}
