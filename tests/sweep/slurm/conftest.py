from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan
from ablate.launch.slurm import cluster
from ablate.launch.slurm.job import Job
from ablate.launch.slurm.past import submissions
from ablate.launch.slurm.submit import submit_sweep
from ablate.sweep.plan import plan
from ablate.sweep.record import Failure, TrialResult, failed_from_outside
from tests.support.sweeps import write_record


@dataclass
class Sweep:
    """A sweep that is submitted from this process; ``said`` is what the last command printed."""

    directory: Path
    experiment: SweepPlan
    said: str = ""
    trials: list[str] = field(default_factory=list)

    def submit(self, *, retry_failed: bool = False, until: int | None = None, **slurm: object) -> int:
        settings = (self.experiment.slurm or Slurm()).model_copy(update=slurm)
        self.experiment = self.experiment.model_copy(update={"slurm": settings})
        self.trials = [trial.id for trial in plan(self.experiment)]
        with self.listening() as console:
            return submit_sweep(self.directory, self.experiment, Path("/cache"), retry_failed, console, until=until)

    def listening(self):
        outer = self

        class Listening:
            def __enter__(self):
                self.stream = io.StringIO()
                return Console(file=self.stream, width=10_000, highlight=False)

            def __exit__(self, *_):
                outer.said = self.stream.getvalue()

        return Listening()

    def submissions(self):
        return submissions(self.directory)

    def record(self, trial_id: str, status: str = "done") -> None:
        trial = next(trial for trial in plan(self.experiment) if trial.id == trial_id)
        failed = failed_from_outside(trial, Failure(type="X", message="went wrong", traceback=""), 1)
        done = {"status": "done", "error": None, "timings": {"total": 3600.0}, "metrics": {"linear_top1": 0.5}}
        write_record(self.directory, failed if status == "failed" else failed.model_copy(update=done))

    def result(self, trial_id: str) -> TrialResult:
        return TrialResult.model_validate_json((self.directory / "trials" / f"{trial_id}.json").read_bytes())

    def placed(self) -> list[str]:
        """The trials of every job that sbatch has taken, by every submission's own word."""
        return [
            trial_id
            for submission in self.submissions()
            for array in submission.arrays
            for pack in submission.packs[array.first : array.first + array.count]
            for trial_id in pack
        ]

    def pickles(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("jobs/*/*_submitted.pkl"))


@pytest.fixture
def sweep(tmp_path, experiment, fake_slurm, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Sweep(tmp_path / "my sweep", experiment)


@pytest.fixture
def hasty(monkeypatch):
    """Pauses, and the whole patience, as short as a test wants them."""
    monkeypatch.setattr(cluster, "PAUSE", (0.01, 0.02))


@pytest.fixture
def no_slurm(tmp_path, fake_slurm, monkeypatch):
    """A machine without Slurm's commands, once called."""
    return lambda: monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def in_job(sweep, fake_slurm, monkeypatch):
    """Once called, this process is a job with the sweep's first so many trials."""

    def begin(trials=1, until=None, **slurm) -> Job:
        sweep.submit(trials_per_job=trials, until=until, **slurm)
        fake_slurm.set_state("4001", "RUNNING", 0)
        variables = {"SLURM_ARRAY_JOB_ID": "4001", "SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": "4002"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        (submission,) = sweep.submissions()
        return Job(str(sweep.directory), submission.token, 0)

    return begin
