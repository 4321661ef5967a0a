"""Talk to the scheduler: no other module of ablate runs a command of Slurm's. Needs no torch.

What is asked stands in :mod:`~ablate.launch.slurm.commands`; what comes back is read by
:mod:`~ablate.launch.slurm.answers`.

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
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from ablate.errors import ClusterError, ClusterRefused, ClusterSilent, UsageError, unknown
from ablate.launch.slurm import answers, commands
from ablate.launch.slurm.answers import SILENT, QueuedJob, SiteLimits
from ablate.launch.slurm.commands import Command

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


def _ask(command: Command, tell: Tell = _to_nobody, patience: float | None = None) -> str:
    """Run ``command`` and return what it prints.

    Args:
        command: the program and its arguments.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Raises:
        UsageError: this machine has no such program.
        ClusterRefused: the scheduler refused.
        ClusterError: the controller did not answer.
    """
    return _patiently(lambda: _run(command), tell, patience)


def _patiently(attempt: Callable[[], T], tell: Tell, patience: float | None) -> T:
    patience = PATIENCE if patience is None else patience
    deadline, (pause, longest) = time.monotonic() + patience, PAUSE
    announced = False
    while True:
        try:
            return attempt()
        except ClusterSilent as trouble:
            if time.monotonic() + pause > deadline:
                raise ClusterError(f"the Slurm controller does not answer ({trouble}); try again later") from None
            if not announced:
                tell(f"the Slurm controller does not answer ({trouble}); trying again for up to {_span(patience)}")
                announced = True
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _run(command: Command, environment: dict[str, str] | None = None) -> str:
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
        raise ClusterSilent(f"{program} took more than {TIMEOUT:g} s") from None
    except OSError as error:
        raise ClusterError(f"{program} cannot be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    said = answers.one_line(done.stderr or done.stdout, program)
    if SILENT.search(done.stderr + done.stdout):
        raise ClusterSilent(said)
    raise ClusterRefused(f"{program} refused: {said or f'exit code {done.returncode}'}")


def queue(users: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> list[QueuedJob]:
    """Return the jobs of ``users`` that are not over, with each task of an array on its own.

    Args:
        users: the users' names; an unknown user has no jobs.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.
    """
    known = {user for user in users if _is_known(user)}
    return answers.queued_jobs(_ask(commands.jobs_of(known), tell, patience))


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
        ClusterRefused: sbatch refused the job.
        ClusterError: the controller did not answer; it is not known if the job was accepted.
    """
    tries = 0

    def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries > 1 and (jobs := _run(commands.jobs_named(name))):
            return answers.job_id_in(jobs)
        environment = _environment(script.read_text(encoding="utf-8"))
        return answers.job_id_in(_run(commands.submit(script), environment))

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
    array_size = answers.array_size(_ask(commands.configuration(), tell, patience))
    row = _partition(partition, tell, patience)
    jobs = _job_limit(row.get("PartitionName"), account, {qos or "", row.get("QoS", "")} - {"", "N/A"})
    return SiteLimits(array_size, jobs, answers.partition_time(row.get("MaxTime", "")))


def _partition(name: str | None, tell: Tell, patience: float | None) -> dict[str, str]:
    """Return the fields that ``scontrol show partition`` prints for ``name`` or the default partition.

    There are none if ``name`` holds several names.
    """
    every = answers.partitions(_ask(commands.partitions(), tell, patience))
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
        rows = answers.table(_ask(commands.limits_of_user(me()), patience=0), columns=5)
        mine = [row for row in rows if row[1] == (account or row[0] or row[1]) and row[2] in {"", partition}]
        numbers = [row[3] for row in mine]
        qos = qos or {row[4] for row in mine if row[4]}
        if qos:
            numbers += [row[0] for row in answers.table(_ask(commands.limits_of_qos(qos), patience=0), columns=1)]
    except (ClusterError, UsageError):
        return None
    return min((int(number) for number in numbers if number.isdigit()), default=None)


def endings(job_ids: Collection[str]) -> dict[str, str]:
    """Ask accounting, in one call, how the tasks of jobs ended, by id (``17_3``).

    The result is empty if there is no accounting.
    """
    if not job_ids:
        return {}
    try:
        rows = answers.table(_ask(commands.endings(job_ids), patience=0), columns=2)
    except (ClusterError, UsageError):
        return {}
    return {job: state.split()[0] for job, state in rows if state.strip()}


def cancel(job_ids: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> None:
    """Take jobs or whole arrays out of the queue, and end running ones.

    Args:
        job_ids: the ids of the jobs or arrays.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.
    """
    _ask(commands.cancel(job_ids), tell, patience)


def requeue(job_id: str, *, unless: Callable[[], bool] = lambda: False, patience: float | None = None) -> bool:
    """Put a job, or one task of an array, back into the queue.

    Args:
        job_id: the job's id.
        unless: called before every try; if it returns True, the job is not requeued.
        patience: seconds during which the controller is asked again; None: :data:`PATIENCE`.

    Returns:
        True if the job is in the queue; False if ``unless`` returned True.

    Raises:
        ClusterRefused: Slurm refused.
        ClusterError: the controller did not answer.
    """

    def attempt() -> bool:
        if unless():
            return False
        _run(commands.requeue(job_id))
        return True

    return _patiently(attempt, _to_nobody, patience)
