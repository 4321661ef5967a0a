"""The command lines that ablate gives to Slurm's programs: one function for each, and there are no others.

A batch script also starts ``srun``; its line is submitit's, see :mod:`ablate.launch.slurm.script`. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NewType

Command = NewType("Command", list[str])
"""A program of Slurm's and its arguments. Only this module makes them, so that they can be counted and imitated."""


def jobs_of(users: Collection[str]) -> Command:
    """List the jobs of ``users``, ended ones too, with each task of an array on its own."""
    whose = f"--user={','.join(sorted(users))}"
    return Command(["squeue", "--noheader", "--array", "--states=all", whose, "--format=%F|%K|%T|%u|%r|%j"])


def jobs_named(name: str) -> Command:
    """List the ids of the jobs, ended ones too, that are called ``name``."""
    return Command(["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F"])


def submit(script: Path) -> Command:
    """Put a batch script into the queue, and print the id of its job."""
    return Command(["sbatch", "--parsable", str(script)])


def configuration() -> Command:
    """Show the cluster's settings."""
    return Command(["scontrol", "show", "config"])


def partitions() -> Command:
    """Show all partitions, one on each line."""
    return Command(["scontrol", "--all", "--oneliner", "show", "partition"])


def limits_of_user(user: str) -> Command:
    """Show the accounts and the limits of ``user``."""
    fields = "DefaultAccount,Account,Partition,MaxSubmitJobs,DefaultQOS"
    return Command(["sacctmgr", "-nP", "show", "user", user, "withassoc", f"format={fields}"])


def limits_of_qos(names: Collection[str]) -> Command:
    """Show how many jobs a user may have submitted at a time under these qualities of service."""
    return Command(["sacctmgr", "-nP", "show", "qos", f"names={','.join(sorted(names))}", "format=MaxSubmitJobsPU"])


def endings(job_ids: Collection[str]) -> Command:
    """List the state of each task of these jobs, by what accounting knows."""
    return Command(["sacct", "-nPX", f"--jobs={','.join(sorted(job_ids))}", "--format=JobID,State"])


def cancel(job_ids: Collection[str]) -> Command:
    """Take jobs or whole arrays out of the queue, and end running ones."""
    return Command(["scancel", *sorted(job_ids)])


def requeue(job_id: str) -> Command:
    """Put a job, or one task of an array, back into the queue."""
    return Command(["scontrol", "requeue", job_id])
