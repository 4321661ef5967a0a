"""The draft of a submission: the waiting trials laid out in jobs, within the limits of the cluster."""

from __future__ import annotations

import re
import secrets
import socket
import time
from pathlib import Path

from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan
from ablate.console import clock, counted
from ablate.errors import UsageError
from ablate.launch.slurm import cluster
from ablate.launch.slurm.packing import Limits, Packing, pack
from ablate.launch.slurm.resources import side_by_side
from ablate.launch.slurm.submission import Array, Submission


def check_name(directory: Path) -> None:
    """Raise UsageError if Slurm would read the directory's name as a pattern."""
    if "%" in str(directory.absolute()):
        raise UsageError(
            f"--out {directory}: Slurm replaces what follows a % in the names of files; choose another name"
        )


def limits_for(slurm: Slurm, mine: int, tell: cluster.Tell, patience: float | None = None) -> Limits:
    """Return the cluster's limits for jobs like ``slurm``.

    Args:
        slurm: the resources of each job.
        mine: how many jobs the user has queued.
        tell: called once, with a sentence, when the controller does not answer.
        patience: seconds during which the controller is asked again; None: the default.

    Raises:
        UsageError: there is no such partition, or its jobs may not run so long.
    """
    site = cluster.limits(slurm.partition, slurm.account, slurm.qos, tell=tell, patience=patience)
    if site.time is not None and slurm.time > site.time:
        where = f"partition {slurm.partition}" if slurm.partition else "the default partition"
        raise UsageError(
            f"--time {slurm.time}: jobs in {where} may run {clock(60 * site.time)} at most (--time {site.time}); "
            "a trial that needs longer continues in the next job"
        )
    room = None if site.jobs is None else max(0, site.jobs - mine)
    return Limits(Limits.array_size if site.array_size is None else site.array_size, room)


def arrange(waiting: list[str], experiment: SweepPlan, limits: Limits) -> Packing:
    """Lay out the waiting trials in jobs.

    Args:
        waiting: the ids of the trials.
        experiment: the sweep's plan.
        limits: the cluster's limits.

    Raises:
        UsageError: the cluster allows no further job.
    """
    assert experiment.slurm is not None
    slurm = experiment.slurm
    together = side_by_side(slurm, experiment.shared)
    packing = pack(waiting, together, limits, slurm.trials_per_job, slurm.max_parallel)
    if not packing.packs:
        raise UsageError(
            f"you have as many jobs in the queue as the cluster allows; {len(waiting)} trials are left: run the same "
            "command again later to submit them"
        )
    return packing


def left_over(packing: Packing) -> str:
    """Describe the trials that did not fit, and how to submit them."""
    return (
        f"{counted(packing.left, 'trial')} {'is' if packing.left == 1 else 'are'} left, since no more jobs are allowed "
        "at a time: run the same command again later to submit them, or use a larger --trials-per-job now"
    )


def draw_up(directory: Path, slurm: Slurm, cache: Path, packing: Packing, until: int | None = None) -> Submission:
    """Return the submission of ``packing`` under a new token, without writing it.

    Args:
        directory: the sweep's directory.
        slurm: the resources of each job.
        cache: where the decoded images are.
        packing: the layout of trials in jobs.
        until: the epoch after which trials are parked; None: they are trained to the end.
    """
    token = secrets.token_hex(4)
    sweep = re.sub(r"[^\w.-]", "_", directory.absolute().name, flags=re.ASCII)[:40]
    return Submission(
        token=token,
        created=time.time(),
        user=cluster.me(),
        host=socket.gethostname(),
        cache=str(cache.absolute()),
        slurm=slurm,
        until=until,
        packs=packing.packs,
        arrays=tuple(
            Array(name=f"ablate-{sweep}-{token}-{n}", first=first, count=count)
            for n, (first, count, _) in enumerate(packing.arrays)
        ),
    )


def describe(slurm: Slurm) -> str:
    """Describe the resources of one job: ``partition gpu, 2 GPUs, 2 cores, up to 4 h 00 min``."""
    nodes = f"{slurm.nodes} nodes, on each " if slurm.nodes > 1 else ""
    gpus = f"{counted(slurm.gpus, 'GPU')}, " if slurm.gpus else "CPUs only, "
    where = f"partition {slurm.partition}" if slurm.partition else "the default partition"
    memory = f", {slurm.memory} of memory" if slurm.memory else ""
    return f"{where}, {nodes}{gpus}{counted(slurm.cpus, 'core')}{memory}, up to {clock(60 * slurm.time)}"
