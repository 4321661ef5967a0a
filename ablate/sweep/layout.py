"""Name every path below a sweep's directory. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLAN = "sweep.toml"
EXPERIMENT = "experiment.toml"
RECOMMENDATION = "recommendation.json"
TORCHVISION_CODE, KORNIA_CODE = "pipeline_torchvision.py", "pipeline_kornia.py"
OTHER_CODE = (
    *("pipeline_albumentations.py", "pipeline_lightly.py", "pipeline_lightly_train.py", "pipeline_solo_learn.yaml"),
    *("pipeline_stable_pretraining.py", "pipeline_dali.py"),
    *(f"pipeline_albumentations{view}.json" for view in ("", "_first", "_second")),
)
CONFIRMATION = "confirmation"
CALIBRATION = "calibration"
LOCK = ".lock"  # held by the command that plans, runs or submits
WAITING = ".waiting"  # held by the command that waits for jobs, to continue from their results


@dataclass(frozen=True)
class SweepDir:
    """A sweep's directory and the paths below it; nothing is read or written here.

    docs/architecture.md ("Sweep directory") says what each path holds.
    """

    path: Path

    @property
    def plan(self) -> Path:
        """The file of the sweep's plan."""
        return self.path / PLAN

    @property
    def experiment(self) -> Path:
        """The file of the experiment, as the user described it."""
        return self.path / EXPERIMENT

    @property
    def trials(self) -> Path:
        """The directory of all records."""
        return self.path / "trials"

    def record(self, trial_id: str) -> Path:
        """Return the file of a trial's record."""
        return self.trials / f"{trial_id}.json"

    @property
    def running(self) -> Path:
        """The directory of the trials that have begun and have no record yet."""
        return self.path / "running"

    def begun(self, trial_id: str) -> Path:
        """Return the directory of a trial that has begun: its attempts, checkpoint and progress."""
        return self.running / trial_id

    def checkpoint(self, trial_id: str) -> Path:
        """Return the file from which a trial continues."""
        return self.begun(trial_id) / "checkpoint.pt"

    def progress(self, trial_id: str) -> Path:
        """Return the file that says how far a trial has come."""
        return self.begun(trial_id) / "progress.json"

    def parked(self, trial_id: str) -> Path:
        """Return the file of a trial that waits at a rung; it becomes the trial's record if it is pruned there."""
        return self.begun(trial_id) / "parked.json"

    @property
    def encoders(self) -> Path:
        """The directory of the trained encoders that are kept."""
        return self.path / "encoders"

    def encoder(self, trial_id: str, kind: str = "safetensors") -> Path:
        """Return a file of a trained encoder; ``kind`` is ``safetensors``, ``head.safetensors`` or ``json``."""
        return self.encoders / f"{trial_id}.{kind}"

    @property
    def images(self) -> Path:
        """The directory of the results for every image."""
        return self.path / "images"

    def image_results(self, trial_id: str) -> Path:
        """Return the file of what linear evaluation gave each validation and test image."""
        return self.images / f"{trial_id}.safetensors"

    @property
    def inits(self) -> Path:
        """The directory of the weights from which encoders start."""
        return self.path / "init"

    def init(self, weights: str) -> Path:
        """Return the file of the weights with that hash, ``sha256 `` and 16 hex digits, from which trials start."""
        return self.inits / f"{weights.rpartition(' ')[2]}.safetensors"

    def preview(self, key: str) -> Path:
        """Return the picture of a configuration's views, which all seeds share."""
        return self.path / "previews" / f"{key}.webp"

    @property
    def logs(self) -> Path:
        """The directory of the logs of trials and workers."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """Return the log of a trial or of a worker."""
        return self.logs / f"{name}.log"

    @property
    def jobs(self) -> Path:
        """The directory of the submissions to Slurm."""
        return self.path / "jobs"

    def submission(self, token: str) -> Path:
        """Return the file of a submission."""
        return self.jobs / f"{token}.json"

    def job(self, token: str) -> Path:
        """Return the directory of a submission's scripts and of what its jobs print."""
        return self.jobs / token

    @property
    def cancelled(self) -> Path:
        """The file that tells a waiting command that the jobs were cancelled."""
        return self.jobs / ".cancelled"

    @property
    def report(self) -> Path:
        """The directory of the report."""
        return self.path / "report"

    def tracker(self, name: str) -> Path:
        """Return the directory of the runs as an experiment tracker has them, such as ``tensorboard``."""
        return self.path / "trackers" / name

    def card(self, trial_id: str) -> Path:
        """Return the directory of a kept encoder as the Hugging Face Hub takes it."""
        return self.path / "cards" / trial_id

    @property
    def page(self) -> Path:
        """The report's web page."""
        return self.report / "index.html"

    @property
    def recommendation(self) -> Path:
        """The file of the recommendation."""
        return self.report / RECOMMENDATION

    @property
    def pipelines(self) -> tuple[Path, ...]:
        """The recommendation's code, for torchvision, for kornia and for other tools."""
        return tuple(self.report / name for name in (TORCHVISION_CODE, KORNIA_CODE, *OTHER_CODE))

    @property
    def confirmation(self) -> Path:
        """The directory of the sweep that confirms the recommendation with two branches."""
        return self.path / CONFIRMATION

    @property
    def calibration(self) -> Path:
        """The directory of the calibration: its table, and a sweep for each cheaper training."""
        return self.path / CALIBRATION

    @property
    def calibration_result(self) -> Path:
        """The file of the calibration's result; ``calibration.csv`` beside it is its table."""
        return self.calibration / f"{CALIBRATION}.json"
