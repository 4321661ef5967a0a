"""The resources that jobs ask of a Slurm cluster."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

from ablate.config.base import Count, Model
from ablate.config.option import Option

JOBS = "With --launcher slurm (set your own defaults in ~/.config/ablate/slurm.toml)"
"""The heading in the help under which the options of jobs are listed."""


def minutes(value: Any) -> Any:
    """Return ``90`` (minutes), ``2:30:00`` or ``1-12:00:00`` as whole minutes, rounded up; pass on anything but text.

    Raises:
        ValueError: another form, such as ``2:30``: Slurm reads 2 minutes 30, but many people mean two and a half hours.
    """
    if not isinstance(value, str):
        return value
    if not (match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)|(\d+)", value.strip())):
        raise ValueError("a time must be 90 (minutes), 2:30:00 (hours) or 1-12:00:00 (days)")
    days, hours, mins, seconds, alone = (int(part or 0) for part in match.groups())
    return alone or (days * 24 + hours) * 60 + mins + (seconds > 0)


def _memory(value: str) -> str:
    """Return an amount of memory as every version of sbatch takes it: ``32G``, not ``32GB``."""
    if not (match := re.fullmatch(r"(\d+)([KMGT]?)B?", value.strip(), re.IGNORECASE)):
        raise ValueError("memory must be a number of megabytes, or a number with K, M, G or T, such as 32G")
    return match[1] + match[2].upper()


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("it must be one line of text")
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]


class Slurm(Model):
    """The split of trials into jobs, and the resources of each job; nothing here is part of a trial's key.

    ``time`` is in minutes. In a job without GPUs, ``workers`` trials run side by side. If ``trials_per_job`` is None,
    jobs are as few as the limits allow, but at least one for every trial that runs side by side. ``max_parallel``
    limits one submission. ``grace`` is at most a third of the time limit, see :attr:`warning`.
    """

    partition: Annotated[
        OneLine | None, Option(JOBS, default="the cluster's"), Field(description="Partition of the jobs")
    ] = None
    account: Annotated[OneLine | None, Option(JOBS, default="yours"), Field(description="Account to charge")] = None
    qos: Annotated[
        OneLine | None, Option(JOBS, default="yours"), Field(description="Quality of service of the jobs")
    ] = None
    time: Annotated[
        Count,
        BeforeValidator(minutes),
        Option(JOBS, default="4:00:00", text=True),
        Field(
            description="Time limit of a job: 90 (minutes), 2:30:00 or 1-12:00:00; a job that reaches it saves, queues "
            "again and continues",
        ),
    ] = 240
    nodes: Annotated[Count, Option(JOBS), Field(description="Nodes on which one trial trains")] = 1
    gpus: Annotated[
        int,
        Option(JOBS, default="those of a trial"),
        Field(ge=0, strict=True, description="GPUs per node of a job; its trials share them"),
    ] = 0
    cpus: Annotated[Count, Option(JOBS, default="one per thread"), Field(description="CPU cores per node of a job")] = 1
    memory: Annotated[
        Annotated[str, AfterValidator(_memory)] | None,
        Option(JOBS, ("--mem",), default="the cluster's"),
        Field(description="Memory per node of a job, such as 32G"),
    ] = None
    constraint: Annotated[
        OneLine | None, Option(JOBS), Field(description="Features that nodes must have, as sbatch takes them")
    ] = None
    setup: Annotated[
        tuple[OneLine, ...],
        Option(JOBS, metavar="LINE"),
        Field(description="Shell line to run before Python starts, such as module load cuda; may be repeated"),
    ] = ()
    container: Annotated[
        OneLine | None,
        Option(JOBS),
        Field(description="Command that runs Python in a container: apptainer exec --nv image.sif [python3]"),
    ] = None
    extra: Annotated[
        dict[str, Annotated[int, Field(strict=True)] | Literal[True] | OneLine],
        Option(JOBS, ("--sbatch",), metavar="NAME=VALUE"),
        Field(description="Any other option of sbatch, such as reservation=lab; may be repeated"),
    ] = {}
    trials_per_job: Annotated[
        Count | None,
        Option(JOBS, default="as few as the cluster's limits allow"),
        Field(description="Trials per job, which run one after the other or side by side"),
    ] = None
    per_gpu: Annotated[Count, Option(JOBS), Field(description="Trials that run side by side on one GPU")] = 1
    workers: Count = 1
    max_parallel: Annotated[
        Count | None, Option(JOBS, default="no limit"), Field(description="Maximum number of jobs at a time")
    ] = None
    grace: Annotated[
        int,
        Option(JOBS),
        Field(
            ge=10,
            strict=True,
            description="Seconds before the time limit at which a job saves and queues again",
        ),
    ] = 90

    @property
    def warning(self) -> int:
        """Seconds before the time limit at which jobs stop: ``grace``, but at most a third of the limit."""
        return min(self.grace, self.time * 60 // 3)
