"""What jobs ask of a Slurm cluster."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

from ablate.config.base import Count, Model


def minutes(value: Any) -> Any:
    """``90`` (minutes), ``2:30:00`` or ``1-12:00:00`` as whole minutes, rounded up; anything but text is passed on.

    Raises:
        ValueError: another form; ``2:30`` among them, which is 2 minutes 30 to Slurm and two hours and a half to many.
    """
    if not isinstance(value, str):
        return value
    if not (match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)|(\d+)", value.strip())):
        raise ValueError("a time is 90 (minutes), 2:30:00 (hours) or 1-12:00:00 (days)")
    days, hours, mins, seconds, alone = (int(part or 0) for part in match.groups())
    return alone or (days * 24 + hours) * 60 + mins + (seconds > 0)


def _memory(value: str) -> str:
    """As sbatch takes it on every version: ``32G``, not ``32GB``."""
    if not (match := re.fullmatch(r"(\d+)([KMGT]?)B?", value.strip(), re.IGNORECASE)):
        raise ValueError("memory is a number with K, M, G or T: 32G; without a letter it is megabytes")
    return match[1] + match[2].upper()


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("one line of text is needed")
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]


class Slurm(Model):
    """How trials become jobs, and what each job asks of the cluster; none of it is part of a trial's key.

    ``time`` is in minutes. ``nodes``: that one trial spans. ``gpus``: of a job on each of its nodes. ``per_gpu`` trials
    run side by side on one GPU, ``workers`` in a job without GPUs. ``trials_per_job`` None: as few as the limits
    allow, but one for every trial that runs side by side. ``max_parallel``: jobs of one submission at a time.
    ``grace``: seconds before the time limit, at most a third of it, at which a job saves and requeues itself.
    ``setup``: shell lines before Python starts. ``container``: a command that Python is run by. ``extra``: further
    sbatch options, by their long names.
    """

    partition: OneLine | None = None
    account: OneLine | None = None
    qos: OneLine | None = None
    time: Annotated[Count, BeforeValidator(minutes)] = 240
    nodes: Count = 1
    gpus: Annotated[int, Field(ge=0, strict=True)] = 0
    cpus: Count = 1
    memory: Annotated[str, AfterValidator(_memory)] | None = None
    constraint: OneLine | None = None
    setup: tuple[OneLine, ...] = ()
    container: OneLine | None = None
    extra: dict[str, Annotated[int, Field(strict=True)] | Literal[True] | OneLine] = {}
    trials_per_job: Count | None = None
    per_gpu: Count = 1
    workers: Count = 1
    max_parallel: Count | None = None
    grace: Annotated[int, Field(ge=10, strict=True)] = 90

    @property
    def warning(self) -> int:
        """Seconds before the time limit at which jobs stop: ``grace``, but of a short limit no more than a third."""
        return min(self.grace, self.time * 60 // 3)
