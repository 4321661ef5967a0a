"""Read what the scheduler's commands print: their answers, their refusals, and their silence. Needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ablate.errors import ClusterError

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
"""The messages of Slurm's commands when the controller does not answer, as opposed to when it refuses."""

OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "REVOKED"}
"""States that are final. NODE_FAIL and PREEMPTED are not: Slurm requeues the job by itself."""


def one_line(text: str, program: str) -> str:
    """Join the output of a command into one line, without the command's name before each sentence."""
    prefix = re.compile(rf"^{program}: (error: |fatal: )?")
    return "; ".join(dict.fromkeys(prefix.sub("", line.strip()) for line in text.splitlines() if line.strip()))


@dataclass(frozen=True)
class QueuedJob:
    """A job, or a task of an array, that waits or runs; ``id`` is ``17`` or ``17_3``, and ``array`` is ``17``."""

    id: str
    array: str
    task: int
    state: str
    user: str
    reason: str
    name: str


def queued_jobs(text: str) -> list[QueuedJob]:
    """Read the jobs that are not over from squeue's columns ``%F|%K|%T|%u|%r|%j``."""
    jobs = [_queued_job(line) for line in text.splitlines() if line.count("|") >= 5]
    return [job for job in jobs if job.state not in OVER]


def _queued_job(line: str) -> QueuedJob:
    array, task, state, user, reason, name = line.strip().split("|", 5)
    alone = not task.isdigit()
    return QueuedJob(array if alone else f"{array}_{task}", array, 0 if alone else int(task), state, user, reason, name)


def job_id_in(answer: str) -> str:
    """Read the job's id from what sbatch or squeue printed.

    The id is ``12`` or ``12;cluster``, and may stand below lines that the site adds: wrappers of sbatch print banners,
    and some drop ``--parsable``: ``Submitted batch job 12 on cluster big``.

    Raises:
        ClusterError: there is no id.
    """
    ids = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?\s*$", answer, re.MULTILINE)
    if not ids:
        raise ClusterError(f"sbatch answered {answer.strip()!r}, not a job id")
    return str(ids[-1])


@dataclass(frozen=True)
class SiteLimits:
    """The limits that the cluster reports; None for a limit that it does not report.

    ``array_size``: tasks per array. ``jobs``: how many jobs a user may have submitted at a time. ``time``: the longest
    time of a job in the partition, in minutes.
    """

    array_size: int | None = None
    jobs: int | None = None
    time: int | None = None


def array_size(text: str) -> int | None:
    """Read the number of tasks that an array may have from ``scontrol show config``; None if it is not there."""
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    return max(1, int(size[1])) if size else None  # 0: no arrays, so every job is submitted on its own


def partitions(text: str) -> list[dict[str, str]]:
    """Read the fields of each partition from ``scontrol --oneliner show partition``."""
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]


def table(text: str, columns: int) -> list[list[str]]:
    """Read the rows that sacct and sacctmgr separate by ``|``; a line with another number of columns is no row."""
    rows = [line.split("|") for line in text.splitlines()]
    return [row for row in rows if len(row) == columns]


def partition_time(text: str) -> int | None:
    """Convert a time such as ``1-00:00:00`` to minutes, rounded down; return None for UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not match:
        return None
    days, hours, mins = (int(part or 0) for part in match.groups()[:3])
    return (days * 24 + hours) * 60 + mins
