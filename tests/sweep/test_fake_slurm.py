"""The fake Slurm speaks what ablate says, and keeps its own promises; tests/slurm compares it with a real Slurm."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ablate.config.slurm import Slurm
from ablate.launch.slurm import answers, commands
from tests.support.batch_scripts import script
from tests.support.fake_slurm_commands import ANSWERS, OPTIONS

EVERYTHING = Slurm(partition="main", account="lab", qos="normal", constraint="a100", memory="4G", gpus=1)
"""Every setting that becomes an option of its own."""
USERS_OWN = {"exclusive", "nice"}
"""Options that only users ask for, with ``--sbatch``; some tests do."""


def shape(function) -> str:
    """The command line that ``function`` makes, with ``<name>`` for the value of each of its parameters."""
    kinds = {"str": str, "Path": Path, "Collection[str]": lambda name: [name]}
    parameters = inspect.signature(function).parameters.values()
    values = {each.name: kinds[each.annotation](f"<{each.name}>") for each in parameters}
    return " ".join(function(**values))


def srun() -> str:
    """The command line in a batch script; submitit writes it."""
    line = script(Path("/sweep"), "true").splitlines()[-1].removesuffix(" sh -c true")
    line = re.sub(r"--(output|error) \S+", r"--\1 <\1>", line)
    return re.sub(r"--cpus-per-task=\d+", "--cpus-per-task=<cpus>", line) + " <command>"


def command_lines() -> set[str]:
    return {shape(function) for _, function in inspect.getmembers(commands, inspect.isfunction)} | {srun()}


def test_the_fake_answers_the_command_lines_of_ablate_and_no_others():
    ours, its = command_lines(), set(ANSWERS)
    assert sorted(ours - its) == [], "add them to the fake, and to tests/slurm/test_fake.py"
    assert sorted(its - ours) == [], "ablate issues them no longer: remove them from the fake"


def test_only_one_module_makes_command_lines():
    root = Path(commands.__file__).parents[2]
    makers = [path.name for path in root.rglob("*.py") if re.search(r"\bCommand\(\[", path.read_text())]
    assert makers == ["commands.py"]


def test_the_fake_knows_the_options_of_a_batch_script_and_no_others():
    text = script(Path("/sweep"), "true", EVERYTHING, count=3)
    written = set(re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE))
    assert written | USERS_OWN == set(OPTIONS.split())


def test_a_command_line_that_the_fake_does_not_know_is_an_error(fake_slurm):
    done = call(["squeue", "--noheader", "--me"], check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not know this command: squeue --noheader --me" in done.stderr


def call(words, check=True):
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=check)


def lines(words):
    return call(words).stdout.splitlines()


@pytest.fixture
def submit(fake_slurm, tmp_path):
    """Submits a job, or an array of several, whose tasks run ``command``; the job's id."""

    def submit(command="true", count=4):
        path = tmp_path / "job.sh"
        path.write_text(script(tmp_path, command, Slurm(partition="urgent"), count=count))
        return call(commands.submit(path)).stdout.strip()

    return submit


def test_an_array_waits_runs_and_ends(fake_slurm, submit, tmp_path):
    array = submit('echo "$SLURM_JOB_ID $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_RESTART_COUNT"; echo no >&2')
    assert fake_slurm.jobs()[0]["options"]["partition"] == "urgent"
    me = fake_slurm.jobs()[0]["user"]
    listed = [f"{array}|{k}|PENDING|{me}|None|trial" for k in range(4)]
    assert lines(commands.jobs_of([me])) == listed
    assert not lines(commands.jobs_of(["somebody-else"]))
    assert lines(commands.jobs_named("trial")) == [array]
    assert lines(commands.endings([array])) == [f"{array}_[0-3%2]|PENDING"]
    assert fake_slurm.run(array, 1) == 0
    raw = fake_slurm.task(array, 1)["raw_id"]
    assert (tmp_path / f"{array}_1_0_log.out").read_text() == f"{raw} {array} 1 \n"
    assert (tmp_path / f"{array}_1_0_log.err").read_text() == "no\n"
    fake_slurm.set_state(array, "RUNNING", 2)
    assert [job.state for job in answers.queued_jobs(call(commands.jobs_of([me])).stdout)] == [
        *("PENDING", "RUNNING", "PENDING"),
    ]
    states = lines(commands.endings([array]))
    assert states == [f"{array}_[0,3%2]|PENDING", f"{array}_1|COMPLETED", f"{array}_2|RUNNING"]
    call(commands.cancel([f"{array}_2", "9"]))
    assert fake_slurm.task(array, 2)["state"] == "CANCELLED"
    assert lines(commands.endings([array]))[-1].startswith(f"{array}_2|CANCELLED by ")


def test_a_task_of_an_array_has_an_id_of_its_own(fake_slurm, submit):
    array = submit()
    fake_slurm.set_state(array, "RUNNING")
    call(commands.requeue(fake_slurm.task(array, 2)["raw_id"]))
    assert [task["state"] for task in fake_slurm.jobs()[0]["tasks"].values()].index("PENDING") == 2


def test_a_requeued_job_counts_its_restarts(fake_slurm, submit, tmp_path):
    job = submit('echo "run $SLURM_RESTART_COUNT"; exit 3', count=1)
    running = fake_slurm.start(job)
    call(commands.requeue(job))
    fake_slurm.finish(running, job)
    assert fake_slurm.task(job)["state"] == "PENDING"
    assert fake_slurm.run(job) == 3
    assert (tmp_path / f"{job}_0_log.out").read_text().splitlines()[-1] == "run 1"
    assert lines(commands.endings([job])) == [f"{job}|FAILED"]


def test_faults(fake_slurm, submit):
    submit()
    fake_slurm.fail("squeue", times=1)
    broken = call(commands.jobs_named("trial"), check=False)
    assert (broken.returncode, "Unable to contact slurm controller" in broken.stderr) == (1, True)
    assert call(commands.jobs_named("trial")).returncode == 0
    assert fake_slurm.calls("squeue") == 2
    fake_slurm.lose_answer()
    with pytest.raises(subprocess.CalledProcessError) as lost:
        submit()
    assert "Socket timed out on send/recv operation" in lost.value.stderr
    assert len(fake_slurm.jobs()) == 2
    fake_slurm.remove("sacct")
    assert shutil.which("sacct") is None
    assert shutil.which("squeue") == str(fake_slurm.bin / "squeue")


def test_it_refuses_what_slurm_refuses(fake_slurm, submit, tmp_path):
    submit()
    text = (tmp_path / "job.sh").read_text()
    wrong = {
        "--partition=urgent": "--partition=nowhere",
        "--nodes=1": "--nodse=1",
        "--array=0-3": "--array=0-1001",
        "--time=240": "--qos=gold",
    }
    for right, other in wrong.items():
        assert right in text
        (tmp_path / "wrong.sh").write_text(text.replace(right, other))
        assert call(commands.submit(tmp_path / "wrong.sh"), check=False).returncode != 0
    with fake_slurm.state() as state:
        state["assoc"][0]["MaxSubmitJobs"] = "6"
    assert "MaxSubmitJobLimit" in call(commands.submit(tmp_path / "job.sh"), check=False).stderr
    assert lines(commands.limits_of_user(fake_slurm.jobs()[0]["user"])) == ["root|root||6|"]
    assert len(fake_slurm.jobs()) == 1
