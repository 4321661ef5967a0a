"""The scheduler's commands; nothing else in ablate runs one. Needs no torch.

A controller that does not answer is asked again for :data:`PATIENCE` seconds, with one word to the user. What Slurm
refuses comes back in its own words.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ablate.errors import UsageError, unknown

TIMEOUT = 30.0  # seconds that one command may take
PATIENCE = 180.0  # seconds during which a silent controller is asked again
PAUSE = (1.0, 30.0)  # seconds between two tries: at first, at most

SILENT = re.compile(
    "|".join(
        [
            *(
                "unable to contact slurm controller",
                "unable to contact slurmctld",
                "socket timed out",
                "connect failure",
            ),
            *("connection refused", "connection timed out", "zero bytes", "transport endpoint is not connected"),
            *("slurm_persist_conn", "persistent connection", "unable to connect to database", "connection reset"),
            *("in standby mode", "resource temporarily unavailable", "communications shutdown"),
        ]
    ),
    re.IGNORECASE,
)
"""What Slurm's commands say when nobody answers, as against when they are refused."""

OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "REVOKED"}
"""States that are final. NODE_FAIL and PREEMPTED are not: the job comes back by itself."""

OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMIX_", "PMI2_")
OF_THE_SITE = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT"}
"""Of these variables, those that say where the cluster is, and not what the job around this process has."""
FILTERS = ("SQUEUE_", "SACCT_", "SCANCEL_")
"""Variables by which users narrow what these commands show, or act upon."""

T = TypeVar("T")
Tell = Callable[[str], None]


class ClusterTrouble(RuntimeError):
    """The scheduler does not do what it is asked; the message is one sentence."""


class Refused(ClusterTrouble):
    """It answered, and said no; the message ends with its words."""


class _NoAnswer(Exception):
    """Nobody answered; worth another try."""


def _to_nobody(sentence: str) -> None:
    pass


def ask(*command: str, tell: Tell = _to_nobody, patience: float | None = None) -> str:
    """Run a command of Slurm's and return what it prints.

    Args:
        command: the program and its arguments.
        tell: is told, once, when the controller does not answer.
        patience: seconds during which it is asked again; None: :data:`PATIENCE`.

    Raises:
        UsageError: this machine has no such program.
        Refused: it said no.
        ClusterTrouble: nobody answered.
    """
    return _patiently(lambda: _run(command), tell, patience)


def is_here() -> bool:
    """Whether this machine can talk to a Slurm cluster."""
    return shutil.which("sbatch") is not None


def check_here() -> None:
    """Raise UsageError unless :func:`is_here`."""
    if not is_here():
        raise _absent("sbatch")


def _absent(program: str) -> UsageError:
    return UsageError(f"{program} is not on this machine: --launcher slurm needs a Slurm login node")


def me() -> str:
    """The user's name, as Slurm sees it; the number where there is none. Variables such as $USER may say another."""
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
        except _NoAnswer as trouble:
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
        raise _NoAnswer(f"{program} took more than {TIMEOUT:g} s") from None
    except OSError as error:
        raise ClusterTrouble(f"{program} cannot be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    words = _words(done.stderr or done.stdout, program)
    if SILENT.search(done.stderr + done.stdout):
        raise _NoAnswer(words)
    raise Refused(f"{program} refuses: {words or f'exit code {done.returncode}'}")


def _words(text: str, program: str) -> str:
    """What a command printed, as one line, without its own name before each sentence."""
    prefix = re.compile(rf"^{program}: (error: |fatal: )?")
    return "; ".join(dict.fromkeys(prefix.sub("", line.strip()) for line in text.splitlines() if line.strip()))


@dataclass(frozen=True)
class QueuedJob:
    """One job, or one task of an array, that is waiting or at work. ``id`` is ``17`` or ``17_3``, ``array`` ``17``."""

    id: str
    array: str
    task: int
    state: str
    user: str
    reason: str
    name: str


def queue(users: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> list[QueuedJob]:
    """The jobs of ``users`` that are not over, each task of an array on its own; users that are not known have none."""
    known = sorted(user for user in users if _is_known(user))
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={','.join(known)}"]
    lines = ask(*command, "--format=%F|%K|%T|%u|%r|%j", tell=tell, patience=patience).splitlines()
    jobs = [_job(line) for line in lines if line.count("|") >= 5]
    return [job for job in jobs if job.state not in OVER]


def _is_known(user: str) -> bool:
    """A list with a name that this machine does not know is refused by squeue."""
    try:
        return user.isdigit() or bool(pwd.getpwnam(user))
    except KeyError:
        return False


def _job(line: str) -> QueuedJob:
    array, task, state, user, reason, name = line.strip().split("|", 5)
    alone = not task.isdigit()
    return QueuedJob(array if alone else f"{array}_{task}", array, 0 if alone else int(task), state, user, reason, name)


def submit(script: Path, name: str, *, tell: Tell = _to_nobody, patience: float | None = None) -> str:
    """Give ``script`` to sbatch and return the job's id.

    ``name`` is the job's, and nobody else's. When no answer comes, the job may have been accepted all the same: before
    another try, a job of that name is looked for.

    Raises:
        Refused: sbatch said no.
        ClusterTrouble: nobody answered; whether the job was accepted is not known.
    """
    tries = 0

    def attempt() -> str:
        nonlocal tries
        tries += 1
        found = _run(["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F"]) if tries > 1 else ""
        answer = found or _run(["sbatch", "--parsable", str(script)], _environment(script.read_text(encoding="utf-8")))
        return job_id_in(answer)

    return _patiently(attempt, tell, patience)


def job_id_in(answer: str) -> str:
    """Read the job's id from what sbatch or squeue printed: ``12``, ``12;cluster``, also below a site's own lines.

    Wrappers of sbatch print banners, and some drop ``--parsable``: ``Submitted batch job 12 on cluster big``.

    Raises:
        ClusterTrouble: there is none.
    """
    found = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?\s*$", answer, re.MULTILINE)
    if not found:
        raise ClusterTrouble(f"sbatch answered {answer.strip()!r}, not a job id")
    return str(found[-1])


def _environment(script: str) -> dict[str, str]:
    """This environment without what would reach into the job.

    That is the ``SBATCH_`` variables that would overrule what ``script`` says and, where the command runs inside
    another job, that job's own: sbatch hands them on, and srun would bind the new job to the old one's cores.
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


@dataclass(frozen=True)
class SiteLimits:
    """What the cluster says of itself; None where it does not say.

    ``array_size``: tasks per array. ``jobs``: that a user may have submitted at a time. ``time``: a job's longest, in
    minutes, in the partition.
    """

    array_size: int | None = None
    jobs: int | None = None
    time: int | None = None


def limits(
    partition: str | None,
    account: str | None,
    qos: str | None,
    *,
    tell: Tell = _to_nobody,
    patience: float | None = None,
) -> SiteLimits:
    """What holds for jobs in ``partition`` under ``account`` and ``qos``; None: the user's defaults.

    Raises:
        UsageError: there is no such partition.
    """
    config = ask("scontrol", "show", "config", tell=tell, patience=patience)
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    place = _partition(partition, tell, patience)
    jobs = _job_limit(place.get("PartitionName"), account, {qos or "", place.get("QoS", "")} - {"", "N/A"})
    array_size = max(1, int(size[1])) if size else None  # 0: no arrays, so that every job is one of its own
    return SiteLimits(array_size, jobs, _partition_time(place.get("MaxTime", "")))


def _partition(name: str | None, tell: Tell, patience: float | None) -> dict[str, str]:
    """What ``scontrol show partition`` says of ``name``, or of the default one; of several names, nothing."""
    text = ask("scontrol", "--all", "--oneliner", "show", "partition", tell=tell, patience=patience)
    every = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    known = {fields["PartitionName"]: fields for fields in every if "PartitionName" in fields}
    if name is None:
        return next((fields for fields in every if fields.get("Default") == "YES"), {})
    for one in name.split(","):
        if known and one not in known:
            raise unknown("partition", one, known)
    return known.get(name, {})


def _partition_time(text: str) -> int | None:
    """``1-00:00:00`` in minutes, rounded down; None for UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not match:
        return None
    days, hours, mins = (int(part or 0) for part in match.groups()[:3])
    return (days * 24 + hours) * 60 + mins


def _job_limit(partition: str | None, account: str | None, qos: set[str]) -> int | None:
    """The least of the submission limits that accounting holds for the user; None where there is no accounting."""
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
    """How the tasks of jobs ended, by id (``17_3``), as accounting says in one call; nothing where there is none."""
    if not job_ids:
        return {}
    try:
        rows = _table("sacct", "-nPX", f"--jobs={','.join(sorted(job_ids))}", "--format=JobID,State")
    except (ClusterTrouble, UsageError):
        return {}
    return {row[0]: row[1].split()[0] for row in rows if len(row) == 2 and row[1].strip()}


def cancel(job_ids: Collection[str], *, tell: Tell = _to_nobody, patience: float | None = None) -> None:
    """Take jobs, or whole arrays, out of the queue, and end what runs."""
    ask("scancel", *sorted(job_ids), tell=tell, patience=patience)


def requeue(job_id: str, *, unless: Callable[[], bool] = lambda: False, patience: float | None = None) -> bool:
    """Put a job, or one task of an array, back into the queue; ``unless`` is asked before every try.

    Returns:
        Whether it is there; False where ``unless`` said that it must not be any more.

    Raises:
        Refused: Slurm said no.
        ClusterTrouble: nobody answered.
    """

    def attempt() -> bool:
        if unless():
            return False
        _run(["scontrol", "requeue", job_id])
        return True

    return _patiently(attempt, _to_nobody, patience)
