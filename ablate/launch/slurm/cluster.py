"""Run the scheduler's commands; no other module of ablate runs one. Needs no torch.

A controller that does not answer is asked again for :data:`PATIENCE` seconds, and the user is told once. If Slurm
refuses a command, the error repeats its words.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from ablate.errors import UsageError, unknown
from ablate.launch.slurm.answers import (
    OVER,
    SILENT,
    ClusterTrouble,
    NoAnswer,
    QueuedJob,
    Refused,
    SiteLimits,
    job_id_in,
    one_line,
    partition_time,
    queued_job,
)

TIMEOUT = 30.0  # seconds that one command may take
PATIENCE = 180.0  # seconds during which a silent controller is asked again
PAUSE = (1.0, 30.0)  # seconds between two tries: the first pause, and the longest

OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMIX_", "PMI2_")
OF_THE_SITE = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT"}
"""Variables with a prefix of :data:`OF_A_JOB` that describe the cluster, not the job in which this process runs."""
FILTERS = ("SQUEUE_", "SACCT_", "SCANCEL_")
"""Prefixes of variables by which users restrict what these commands show or act on."""

T = TypeVar("T")
Tell = Callable[[str], None]


def _to_nobody(sentence: str) -> None:
    pass


def ask(*command: str, tell: Tell = _to_nobody, patience: float | None = None) -> str:
    """Run a Slurm command and return what it prints.

    Args:
        command: the program and its arguments.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Raises:
        UsageError: this machine has no such program.
        Refused: the scheduler refused.
        ClusterTrouble: the controller did not answer.
    """
    return _patiently(lambda: _run(command), tell, patience)


def is_here() -> bool:
    """Return True if this machine can talk to a Slurm cluster."""
    return shutil.which("sbatch") is not None


def check_here() -> None:
    """Raise UsageError unless :func:`is_here`."""
    if not is_here():
        raise _absent("sbatch")


def _absent(program: str) -> UsageError:
    return UsageError(f"{program} is not on this machine: --launcher slurm needs a Slurm login node")


def me() -> str:
    """Return the user's name as Slurm sees it, or the user's number if there is no name.

    Variables such as $USER may hold another name.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _patiently(attempt: Callable[[], T], tell: Tell, patience: float | None) -> T:
    patience = PATIENCE if patience is None else patience
    deadline, (pause, longest) = time.monotonic() + patience, PAUSE
    told = False
    while True:
        try:
            return attempt()
        except NoAnswer as trouble:
            if time.monotonic() + pause > deadline:
                raise ClusterTrouble(f"the Slurm controller does not answer ({trouble}); try again later") from None
            if not told:
                tell(f"the Slurm controller does not answer ({trouble}); trying again for up to {_span(patience)}")
                told = True
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    program = command[0]
    if environment is None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FILTERS)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False, env=environment
        )
    except FileNotFoundError:
        raise _absent(program) from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{program} took more than {TIMEOUT:g} s") from None
    except OSError as error:
        raise ClusterTrouble(f"{program} cannot be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    said = one_line(done.stderr or done.stdout, program)
    if SILENT.search(done.stderr + done.stdout):
        raise NoAnswer(said)
    raise Refused(f"{program} refuses: {said or f'exit code {done.returncode}'}")


def queue(users: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> list[QueuedJob]:
    """Return the jobs of ``users`` that are not over, with each task of an array on its own.

    Args:
        users: the users' names; an unknown user has no jobs.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.
    """
    known = sorted(user for user in users if _is_known(user))
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={','.join(known)}"]
    lines = ask(*command, "--format=%F|%K|%T|%u|%r|%j", tell=tell, patience=patience).splitlines()
    jobs = [queued_job(line) for line in lines if line.count("|") >= 5]
    return [job for job in jobs if job.state not in OVER]


def _is_known(user: str) -> bool:
    """Return True if this machine knows ``user``; squeue refuses a list with an unknown name."""
    try:
        return user.isdigit() or bool(pwd.getpwnam(user))
    except KeyError:
        return False


def submit(script: Path, name: str, *, tell: Tell = _to_nobody, patience: float | None = None) -> str:
    """Give ``script`` to sbatch and return the job's id.

    If no answer comes, the job may have been accepted all the same, so a job of that name is looked for before another
    try.

    Args:
        script: the batch script.
        name: the job's name, which no other job may have.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Raises:
        Refused: sbatch refused the job.
        ClusterTrouble: the controller did not answer; it is not known if the job was accepted.
    """
    tries = 0

    def attempt() -> str:
        nonlocal tries
        tries += 1
        found = _run(["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F"]) if tries > 1 else ""
        answer = found or _run(["sbatch", "--parsable", str(script)], _environment(script.read_text(encoding="utf-8")))
        return job_id_in(answer)

    return _patiently(attempt, tell, patience)


def _environment(script: str) -> dict[str, str]:
    """Return this environment without the variables that would affect the new job.

    These are the ``SBATCH_`` variables that would overrule ``script`` and, if the command runs inside another job, the
    variables of that job: sbatch passes them on, and srun would bind the new job to the cores of the old one.
    """
    said = {*re.findall(r"^#SBATCH --([a-z-]+)", script, re.MULTILINE), "array", "wait"}
    other = {"TIMELIMIT": "time", "ARRAY_INX": "array", "NO_REQUEUE": "requeue"}
    other |= dict.fromkeys(("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"), "mem")

    def overrules(name: str) -> bool:
        option = name.removeprefix("SBATCH_")
        return name.startswith("SBATCH_") and other.get(option, option.lower().replace("_", "-")) in said

    def is_another_jobs(name: str) -> bool:
        return name.startswith(OF_A_JOB) and name not in OF_THE_SITE

    return {name: value for name, value in os.environ.items() if not overrules(name) and not is_another_jobs(name)}


def limits(
    partition: str | None,
    account: str | None,
    qos: str | None,
    *,
    tell: Tell = _to_nobody,
    patience: float | None = None,
) -> SiteLimits:
    """Ask for the limits of the user's jobs.

    Args:
        partition: the partition of the jobs; None: the default one.
        account: the account that is charged; None: the user's default.
        qos: the quality of service; None: the user's default.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Raises:
        UsageError: there is no such partition.
    """
    config = ask("scontrol", "show", "config", tell=tell, patience=patience)
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    place = _partition(partition, tell, patience)
    jobs = _job_limit(place.get("PartitionName"), account, {qos or "", place.get("QoS", "")} - {"", "N/A"})
    array_size = max(1, int(size[1])) if size else None  # 0: no arrays, so every job is submitted on its own
    return SiteLimits(array_size, jobs, partition_time(place.get("MaxTime", "")))


def _partition(name: str | None, tell: Tell, patience: float | None) -> dict[str, str]:
    """Return the fields that ``scontrol show partition`` prints for ``name`` or the default partition.

    There are none if ``name`` holds several names.
    """
    text = ask("scontrol", "--all", "--oneliner", "show", "partition", tell=tell, patience=patience)
    every = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    known = {fields["PartitionName"]: fields for fields in every if "PartitionName" in fields}
    if name is None:
        return next((fields for fields in every if fields.get("Default") == "YES"), {})
    for one in name.split(","):
        if known and one not in known:
            raise unknown("partition", one, known)
    return known.get(name, {})


def _job_limit(partition: str | None, account: str | None, qos: set[str]) -> int | None:
    """Return the smallest submission limit that accounting holds for the user; None if there is no accounting."""
    try:
        fields = "DefaultAccount,Account,Partition,MaxSubmitJobs,DefaultQOS"
        rows = _table("sacctmgr", "-nP", "show", "user", me(), "withassoc", f"format={fields}")
        mine = [
            row
            for row in rows
            if len(row) == 5 and row[1] == (account or row[0] or row[1]) and row[2] in {"", partition}
        ]
        numbers = [row[3] for row in mine]
        qos = qos or {row[4] for row in mine if row[4]}
        if qos:
            rows = _table("sacctmgr", "-nP", "show", "qos", f"names={','.join(sorted(qos))}", "format=MaxSubmitJobsPU")
            numbers += [row[0] for row in rows]
    except (ClusterTrouble, UsageError):
        return None
    return min((int(number) for number in numbers if number.isdigit()), default=None)


def _table(*command: str) -> list[list[str]]:
    return [line.split("|") for line in ask(*command, patience=0).splitlines()]


def endings(job_ids: Collection[str]) -> dict[str, str]:
    """Ask accounting, in one call, how the tasks of jobs ended, by id (``17_3``).

    The result is empty if there is no accounting.
    """
    if not job_ids:
        return {}
    try:
        rows = _table("sacct", "-nPX", f"--jobs={','.join(sorted(job_ids))}", "--format=JobID,State")
    except (ClusterTrouble, UsageError):
        return {}
    return {row[0]: row[1].split()[0] for row in rows if len(row) == 2 and row[1].strip()}


def cancel(job_ids: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> None:
    """Take jobs or whole arrays out of the queue, and end running ones.

    Args:
        job_ids: the ids of the jobs or arrays.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.
    """
    ask("scancel", *sorted(job_ids), tell=tell, patience=patience)


def requeue(job_id: str, *, unless: Callable[[], bool] = lambda: False, patience: float | None = None) -> bool:
    """Put a job, or one task of an array, back into the queue.

    Args:
        job_id: the job's id.
        unless: called before every try; if it returns True, the job is not requeued.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Returns:
        True if the job is in the queue; False if ``unless`` returned True.

    Raises:
        Refused: Slurm refused.
        ClusterTrouble: the controller did not answer.
    """

    def attempt() -> bool:
        if unless():
            return False
        _run(["scontrol", "requeue", job_id])
        return True

    return _patiently(attempt, _to_nobody, patience)
