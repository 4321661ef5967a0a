"""The fast tests' fake prints what a real Slurm prints: the same commands on both, with the same jobs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.fake_slurm import FakeSlurm

JOBS = {
    "held": "--hold --wrap 'exit 3'",
    "array": "--hold --array=0-2,7%2 --time=1-2 --partition=urgent --wrap 'exit 3'",
    "running": "--array=3-4 --comment=hello --wrap 'sleep 300'",
    "completed": "--wrap true",
    "failed": "--wrap 'exit 3'",
    "cancelled": "--wrap 'sleep 300'",
}
STATES = {"running": "RUNNING", "completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}

COLUMNS = "%A|%F|%i|%K|%j|%T|%t|%N|%r|%R|%u|%M|%l|%L|%P|%D|%V|%S|%e|%k"
FIELDS = "JobID,JobIDRaw,JobName,State,ExitCode,NodeList,User,Partition,Submit,Start,End,Elapsed,ElapsedRaw,Timelimit"
ALL = "{held},{array},{running},{completed},{failed},{cancelled}"
COMMANDS = [
    f"squeue -h -n compared -o '{COLUMNS}'",
    f"squeue --noheader --array --name=compared --states=all --format='{COLUMNS}'",
    f"squeue -j {{held}} -o '{COLUMNS}'",
    "squeue -j {held}",
    "squeue -h -n compared --me -t RUNNING -o '%.3i %8j|%.10j|'",
    "squeue -h -n compared -u {user} -t PD -o %i",
    "squeue -h -j {array}_1 -o '%i %K'",
    "squeue -h -r -j {array}_1,{held} -o '%i %K'",
    "squeue -h -j {running}_3 -o %i",
    "squeue -h -j {array}_5 -o %i",
    "squeue -h -j {completed} -o %i",
    "squeue -h -j 9,{held} -o %i",
    "squeue -h -j 9 -o %i",
    f"sacct -nPX -o {FIELDS} -j {ALL}",
    f"sacct -P -o {FIELDS},NNodes -j {{running}} -j {{completed}} -j {{failed}} -j {{cancelled}}",
    "sacct -o JobID,State,NodeList --parsable2 -j {array} -j {running}",
    "sacct -nPX --name compared -o JobID,State",
    "sacct -nPX -o JobID,State -j {running}_4",
    "sacct -nPX -o JobID,State -j {array}_1",
    "sacct -nPX -o JobID,State -j 9",
    "sacct -nPX -o JobID,Nonsense",
    "scontrol show partition main",
    "scontrol -o show partition urgent",
    "scontrol show partition nowhere",
    "scontrol show job 9",
    "scontrol show nonsense",
    "scontrol nonsense",
    "scontrol requeue 9",
    "scontrol requeue {held}",
    "scancel 9",
    "scancel {completed}",
    "scancel {array}_5",
    "scancel",
    "scancel --name=nosuchjob",
    "sacctmgr -nP show assoc where user={user} format=Cluster,Account,User,MaxSubmitJobs,GrpSubmitJobs,MaxJobs,QOS",
    "sacctmgr -P show assoc where cluster=lab user={user} format=MaxSubmit,MaxSubmitJobs,MaxWall,GrpJobs",
    "sacctmgr -nP show user {user} withassoc format=DefaultAccount,Account,Partition,MaxSubmitJobs,DefaultQOS",
    "sacctmgr -P show user {user} withassoc format=DefaultAccount,Account,Partition,MaxSubmitJobs,DefaultQOS",
    "sacctmgr -nP show user nobody-at-all withassoc format=Account",
    "sacctmgr -nP show qos names=normal format=Name,MaxSubmitJobsPU",
    "sacctmgr -nP show qos names=gold format=Name",
    "squeue -h -u nobody-at-all -o %i",
    "squeue -h -n compared -u nobody-at-all,{user} -o %i",
    "scontrol --oneliner show partition",
    "scontrol requeue {array}_5",
    "sacctmgr -nP show assoc user=nobody-at-all format=Account",
    "sacctmgr -nP show assoc format=Nonsense",
    "sacctmgr -P show qos format=Name,MaxSubmitPU,MaxSubmitJobsPU,MaxJobsPU,MaxWall",
    "sacctmgr -nP show cluster format=Cluster,ControlHost",
    "sinfo -h -o '%P|%R|%a|%l|%G|%c|%m'",
    "sinfo -h -p nowhere -o %P",
    "sbatch --partition=nowhere --wrap true",
    "sbatch --array=0-1001 --wrap true",
    "sbatch --nonsense=1 --wrap true",
    "sbatch --wrap true --time=soon",
    "sbatch nosuchfile.sh",
    "sbatch --test-only --wrap true",
    "sbatch --hold --job-name=other --wrap true",
    "sbatch --hold --job-name=other --parsable --wrap true",
]
SCRIPT = """#!/bin/bash
#SBATCH --array=3
#SBATCH --job-name=printenv
#SBATCH --output=batch-%x-%A-%a-%u-%N.out
#SBATCH {options}
env | grep ^SLURM
srun -u --output=step-%A_%a_%4t-%s-%n.out --error step-%J.err -K1 bash -c 'env | grep ^SLURM; echo oh >&2'
exit 0
"""
# Newer Slurms set these.
LATER = {"SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"}


class Side:
    """One of the two, with its ids of the same jobs."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        folder.mkdir()
        self.ids: dict[str, str] = {}

    def call(self, line: str) -> subprocess.CompletedProcess[str]:
        words = shlex.split(line.format(**self.ids, user="root"))
        return subprocess.run(
            words, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def submit(self, name: str, options: str) -> None:
        line = f"sbatch --parsable --job-name=compared --output=/dev/null {options}"
        self.ids[name] = self.call(line).stdout.strip()

    def named(self, text: str) -> str:
        """With names for ids."""
        for name, job_id in self.ids.items():
            text = re.sub(rf"(?<!\d){job_id}(?!\d)", f"<{name}>", text)
        return text.replace(str(self.folder), "<folder>").replace(os.uname().nodename, "127.0.0.1")

    def shape(self, text: str) -> list[str]:
        """Lines in any order, with names for ids and # for other numbers."""
        return sorted(line.rstrip() for line in re.sub(r"\d+", "#", self.named(text)).splitlines())

    def answer(self, line: str) -> tuple[int, list[str], list[str]]:
        done = self.call(line)
        return done.returncode, self.shape(done.stdout), self.shape(done.stderr)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeSlurm(tmp_path_factory.mktemp("fake") / "state", patch)
        fake.env = dict(os.environ)
    with fake.state() as state:
        state["next"] = 900001  # as long as the real ids
        state["config"]["AccountingStorageEnforce"] = "none"
        state["partitions"]["urgent"]["preempt"] = "OFF"
    return fake


@pytest.fixture(scope="module")
def sides(cluster, fake, tmp_path_factory):
    real = Side(cluster.env, tmp_path_factory.mktemp("real") / "work")
    imitated = Side(fake.env, fake.directory / "work")
    for name, options in JOBS.items():
        real.submit(name, options)
        imitated.submit(name, options)
    for name, state in STATES.items():
        reach(cluster, real.ids[name], state, tasks=("_3", "_4") if name == "running" else ("",))
        fake.set_state(imitated.ids[name], "RUNNING")
        fake.set_state(imitated.ids[name], state)
    yield real, imitated
    cluster.repair()


def reach(cluster, job, state, tasks):
    """Wait until the accounting, too, knows the job in this state."""
    if state == "CANCELLED":
        cluster.wait(lambda: cluster.job(job)["state"] == "RUNNING", 20)
        cluster.run("scancel", job)
    for task in tasks:
        cluster.wait(lambda: cluster.sacct(f"{job}{task}").get("state", "").startswith(state), 30)  # noqa: B023


@pytest.mark.parametrize("line", COMMANDS)
def test_both_answer_alike(sides, line):
    real, imitated = sides
    expected = imitated.answer(line)
    if line.startswith("sacct ") and real.answer(line) != expected:
        time.sleep(3)  # the database hears of steps a little later than of jobs
    assert expected == real.answer(line)


@pytest.mark.parametrize("job", ["{held}", "{array}", "{running}", "{running}_3", "{failed}"])
def test_the_fake_shows_a_part_of_a_job(sides, job):
    real, imitated = (side.answer(f"scontrol -o show job {job}") for side in sides)
    assert imitated[0] == real[0] == 0
    assert len(imitated[1]) == len(real[1])
    assert set(" ".join(imitated[1]).split()) <= set(" ".join(real[1]).split())


def test_the_fake_shows_a_part_of_the_configuration(sides):
    real, imitated = (side.answer("scontrol show config")[1] for side in sides)
    assert set(imitated) <= set(real)


@pytest.mark.parametrize("options", ["--open-mode=append", "--nodes=2 --ntasks-per-node=2"])
def test_a_job_sees_the_same(sides, fake, cluster, options):
    real, imitated = sides
    for side in sides:
        for old in side.folder.glob("*"):
            old.unlink()
        (side.folder / "job.sh").write_text(SCRIPT.format(options=options))
        side.ids["script"] = side.call("sbatch --parsable job.sh").stdout.strip()
    assert fake.run(imitated.ids["script"], 3) == 0
    cluster.wait(lambda: cluster.job(f"{real.ids['script']}_3")["state"] == "COMPLETED", 30)
    files = [{side.named(path.name): path.read_text() for path in side.folder.glob("*.*")} for side in sides]
    assert files[1].keys() == files[0].keys()
    for name in files[1]:
        expected, got = (variables(side.named(file[name])) for side, file in zip(sides, files, strict=True))
        assert {key: expected.get(key) for key in got} == got, name


def variables(text: str) -> dict[str, str]:
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return {name: value for name, value in found.items() if name not in LATER}
