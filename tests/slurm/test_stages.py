"""Sweeps in stages on a real Slurm: killed and cancelled half-way, they end as undisturbed ones on this machine do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ablate.config.sweep import SweepPlan
from ablate.sweep.attempts import last_attempt
from ablate.sweep.calibrations import calibrated
from ablate.sweep.plan import load_plan
from ablate.sweep.progress import read_progress
from tests.slurm.ops import HELD
from tests.slurm.sweeps import Sweeps, bits, records
from tests.support.in_process import without_workers

THERE = ("--launcher", "slurm", "--cpus", 1, "--trials-per-job", 15)
WAITING = {
    "rounds": ["grid", "--ops", "crop,brake", "--unordered", "--seeds", "auto", "--max-seeds", 4, "--within", 0.1],
    "budget": ["grid", "--ops", "crop,brake,color", "--pairs-with", "brake", "--budget", 4, "--batch", 2],
    "search": ["search", "--ops", "crop,brake,color", "--sampler", "gp", "--budget", 4, "--batch", 2],
}
"""Commands that wait for the jobs of a round or batch, and choose the next one from their results."""
DROP = ["drop", "crop+brake+color", "--seeds", 2, "--in-order", "found"]
EPOCHS_ALONE = ("--epochs", 8, "--batch-size", 32, "--set", "encoder.width=1")
"""A training of which a calibration can lower nothing but the epochs."""

pytestmark = pytest.mark.usefixtures("leave_it_in_order", "undrawn", "soon")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command that waits for jobs look for their results more often."""
    monkeypatch.setattr("ablate.launch.start.EVERY", 0.2)


def planned(out: Path) -> SweepPlan:
    """The plan, but for what is another one on a cluster and in another directory."""
    return load_plan(out).replace(command="", slurm=None)


def submitted(said: str) -> list[str]:
    """The ids of the arrays that a command has submitted."""
    return re.findall(r"submitted \d+ jobs? for \d+ trials?: (\d+)", said)


class Cancelled:
    """A trial whose job is cancelled while it is held."""

    def __init__(self, sweeps: Sweeps, out: Path, file: Path) -> None:
        self.sweeps, self.out, self.file = sweeps, out, file

    def wait(self) -> None:
        """Until a trial is held."""
        self.trial = self.sweeps.cluster.wait(self._under_way, what="a trial to be held")

    def _under_way(self) -> str | None:
        labels = {path.name: read_progress(self.out, path.name) for path in self.out.glob("running/*")}
        return next((trial for trial, known in labels.items() if known and "brake" in known.label), None)

    def cancel(self) -> None:
        """Cancel the trial's job, and no other, and let all other trials go on."""
        job = last_attempt(self.out, self.trial).job
        self.sweeps.cluster.run("scancel", job)
        self.sweeps.cluster.wait(lambda: self.sweeps.cluster.job(job)["state"] == "CANCELLED", what="the job to end")
        self.file.unlink()


@pytest.mark.parametrize("line", WAITING.values(), ids=WAITING)
def test_a_command_that_waits_is_killed_in_its_second_stage(sweeps, line, tmp_path):
    local, out, held = tmp_path / "local", tmp_path / "slurm", tmp_path / "held"
    line = [*line, *sweeps.common]
    with without_workers():
        sweeps.ablate(*line, "--out", local)
    there = [*line, *THERE, "--out", out]
    command = sweeps.start(*there, env={HELD: str(held)}, stdout=subprocess.DEVNULL)
    sweeps.cluster.wait(lambda: len(list(out.glob("jobs/*.json"))) == 2, 300, "the second stage")
    held.touch()
    interrupted = Cancelled(sweeps, out, held)
    interrupted.wait()
    command.kill()
    command.wait()
    interrupted.cancel()
    assert re.search("1 (interrupted|lost)", sweeps.ablate("status", out))  # lost, if the machine is slow
    assert "this command waits for the jobs of each" in sweeps.ablate(*there)
    assert bits(out) == bits(local)
    assert planned(out) == planned(local)
    assert records(out)[interrupted.trial].attempts == 2


def test_a_recipe_is_ablated_in_the_order_found_after_a_job_was_cancelled(sweeps, tmp_path):
    local, out, held = tmp_path / "local", tmp_path / "slurm", tmp_path / "held"
    with without_workers():
        sweeps.ablate(*DROP, *sweeps.common, "--out", local)
    held.touch()
    there = [*DROP, *sweeps.common, *THERE, "--out", out]
    said = sweeps.ablate(*there, **{HELD: str(held)})
    assert "the same command finds the order" in said
    interrupted = Cancelled(sweeps, out, held)
    interrupted.wait()
    interrupted.cancel()
    for trials in 12, 14:  # without one op each, then without two together
        sweeps.wait_until_ended(*submitted(sweeps.ablate(*there)))
        assert len(records(out)) == trials
    assert bits(out) == bits(local)
    assert planned(out) == planned(local)
    assert records(out)[interrupted.trial].attempts == 2


def test_a_calibration_is_killed_between_its_trainings(sweeps, tmp_path):
    local, out, held = tmp_path / "local", tmp_path / "slurm", tmp_path / "held"
    calibrate = ["calibrate", "--cache", sweeps.cache]
    with without_workers():
        sweeps.grid(local, *EPOCHS_ALONE, ops="crop,brake")
        shutil.copytree(local, out)
        sweeps.ablate(*calibrate, local)
    held.touch()
    there = [*calibrate, *THERE, out]
    with sweeps.start(*there, env={HELD: str(held)}, stdout=subprocess.PIPE) as command:
        assert any("submitted" in line for line in command.stdout)
        command.kill()
    first = next(out.glob("calibration/*/jobs")).parent
    interrupted = Cancelled(sweeps, first, held)
    interrupted.wait()
    interrupted.cancel()
    said = sweeps.ablate(*there)
    assert "when the jobs have ended, the same command prints the table" in said
    sweeps.wait_until_ended(*submitted(said))
    said = sweeps.ablate(*there)
    assert "regret in points" in said
    assert "Not complete" not in said
    trainings = {path.name: bits(path) for path in calibrated(local)}
    assert trainings.keys() == {"epochs-4", "epochs-2"}
    assert trainings == {path.name: bits(path) for path in calibrated(out)}
    assert records(first)[interrupted.trial].attempts == 2
