"""The fast tests' fake prints what a real Slurm prints: ablate's commands on both, with the same jobs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from ablate.config.slurm import Slurm
from ablate.launch.slurm import commands
from ablate.launch.slurm.commands import Command
from tests.support.batch_scripts import script
from tests.support.fake_slurm import FakeSlurm

URGENT = Slurm(partition="urgent")
JOBS = {
    "held": ("exit 3", Slurm(), 1),
    "array": ("exit 3", URGENT, 4),
    "running": ("sleep 300", Slurm(), 2),
    "completed": ("true", Slurm(), 1),
    "failed": ("exit 3", Slurm(), 1),
    "cancelled": ("sleep 300", Slurm(), 1),
}
"""What each job runs, what it asks for, and how many tasks it has. The first two are held."""
STATES = {"running": "RUNNING", "completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}
WRONG = {
    "partition": ("--partition=urgent", "--partition=nowhere"),
    "array": ("--array=0-1%2", "--array=0-1001"),
    "option": ("--nodes=1", "--nodse=1"),
}
"""What a wrong script asks for instead of what is right."""

COMPARED = [
    (commands.jobs_of, ["root"]),
    (commands.jobs_named, "compared"),
    (commands.jobs_named, "no-such-job"),
    (commands.endings, ["{held}", "{array}", "{running}", "{completed}", "{failed}", "{cancelled}"]),
    (commands.endings, ["9"]),
    (commands.submit, Path("right.sh")),
    (commands.submit, Path("partition.sh")),
    (commands.submit, Path("array.sh")),
    (commands.submit, Path("option.sh")),
    (commands.submit, Path("no-such-file.sh")),
    (commands.requeue, "9"),
    (commands.requeue, "{held}"),
    (commands.requeue, "{array}_5"),
    (commands.cancel, ["9"]),
    (commands.cancel, ["{completed}", "{failed}"]),
    (commands.cancel, ["{array}_5"]),
    (commands.limits_of_user, "root"),
    (commands.limits_of_user, "nobody-at-all"),
    (commands.limits_of_qos, ["normal"]),
    (commands.limits_of_qos, ["gold"]),
]
IN_PART = [commands.configuration, commands.partitions]
"""Of what these print, the fake prints what ablate reads."""


class Side:
    """One of the two, with its ids of the same jobs."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        folder.mkdir()
        self.ids: dict[str, str] = {}
        (folder / "right.sh").write_text(script(folder, "true", name="other"))
        for name, (right, wrong) in WRONG.items():
            text = script(folder, "true", URGENT, name="other", count=2)
            assert right in text
            (folder / f"{name}.sh").write_text(text.replace(right, wrong))

    def call(self, command: Command, *more: str) -> subprocess.CompletedProcess[str]:
        words = [command[0], *more, *command[1:]]
        return subprocess.run(
            words, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def submit(self, name: str, text: str, *more: str) -> None:
        path = self.folder / f"job-{name}.sh"
        path.write_text(text)
        self.ids[name] = self.call(commands.submit(path), *more).stdout.strip()

    def named(self, text: str) -> str:
        """With names for ids."""
        for name, job_id in self.ids.items():
            text = re.sub(rf"(?<!\d){job_id}(?!\d)", f"<{name}>", text)
        return text.replace(str(self.folder), "<folder>").replace(os.uname().nodename, "127.0.0.1")

    def shape(self, text: str) -> list[str]:
        """Lines in any order, with names for ids and # for other numbers."""
        return sorted(line.rstrip() for line in re.sub(r"\d+", "#", self.named(text)).splitlines())

    def answer(self, function, value) -> tuple[int, list[str], list[str]]:
        filled = [each.format(**self.ids) for each in value] if isinstance(value, list) else value
        done = self.call(function(filled.format(**self.ids) if isinstance(filled, str) else filled))
        printed = self.shape(done.stdout)
        if function is commands.jobs_of:  # the cluster has jobs of other tests, too
            printed = [line for line in printed if line.endswith("|compared")]
        return done.returncode, printed, self.shape(done.stderr)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeSlurm(tmp_path_factory.mktemp("fake") / "state", patch)
        fake.env = dict(os.environ)
    with fake.state() as state:
        state["next"] = 900001  # as long as the real ids
    return fake


@pytest.fixture(scope="module")
def sides(cluster, fake, tmp_path_factory):
    real = Side(cluster.env, tmp_path_factory.mktemp("real") / "work")
    imitated = Side(fake.env, fake.directory / "work")
    for name, (command, slurm, count) in JOBS.items():
        for side, hold in ((real, ["--hold"] * (name not in STATES)), (imitated, [])):
            side.submit(name, script(side.folder, command, slurm, name="compared", count=count), *hold)
    for name in JOBS:
        if state := STATES.get(name):
            reach(cluster, real.ids[name], state, tasks=("_0", "_1") if name == "running" else ("",))
            fake.set_state(imitated.ids[name], state)
        else:
            fake.set_state(imitated.ids[name], "PENDING", reason="JobHeldUser")
    yield real, imitated
    cluster.repair()


def reach(cluster, job, state, tasks):
    """Wait until the accounting, too, knows the job in this state."""
    if state == "CANCELLED":
        cluster.wait(lambda: cluster.job(job)["state"] == "RUNNING")
        cluster.run("scancel", job)
    for task in tasks:
        cluster.wait(lambda: cluster.sacct(f"{job}{task}").get("state", "").startswith(state))  # noqa: B023


def test_every_command_of_ablate_is_compared():
    functions = {function for _, function in inspect.getmembers(commands, inspect.isfunction)}
    assert {function for function, _ in COMPARED} | set(IN_PART) == functions


@pytest.mark.parametrize(("function", "value"), COMPARED)
def test_both_answer_alike(sides, function, value):
    real, imitated = sides
    expected = imitated.answer(function, value)
    if function is commands.endings and real.answer(function, value) != expected:
        time.sleep(3)  # the database hears of an end a little later than the controller
    assert expected == real.answer(function, value)


@pytest.mark.parametrize("function", IN_PART)
def test_the_fake_shows_a_part(sides, function):
    real, imitated = (side.call(function()) for side in sides)
    assert imitated.returncode == real.returncode == 0
    shown = imitated.stdout.splitlines()
    assert shown
    for line in shown:
        assert any(set(line.split()) <= set(whole.split()) for whole in real.stdout.splitlines()), line


def test_a_job_sees_the_same(sides, fake, cluster):
    real, imitated = sides
    for side in sides:
        slurm = Slurm(setup=("env | grep ^SLURM",))
        command = "env | grep ^SLURM; echo oh >&2"
        side.submit("printing", script(side.folder, command, slurm, name="printing", count=2))
    assert fake.run(imitated.ids["printing"], 1) == 0
    cluster.wait(lambda: cluster.job(f"{real.ids['printing']}_1")["state"] == "COMPLETED")
    paths = [side.folder.glob(f"{side.ids['printing']}_1_*") for side in sides]
    files = [{side.named(path.name): path for path in found} for side, found in zip(sides, paths, strict=True)]
    assert files[1].keys() == files[0].keys() == {f"<printing>_1_0_log.{end}" for end in ("out", "err")}
    for name in files[1]:
        expected, got = (variables(side.named(file[name].read_text())) for side, file in zip(sides, files, strict=True))
        assert {key: expected.get(key) for key in got} == got, name


def variables(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines())
