"""Write the batch script of an array, by means of submitit, and the pickles that its tasks load."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from submitit import SlurmExecutor
from submitit.core.utils import DelayedSubmission, JobPaths

from ablate.config.slurm import Slurm
from ablate.errors import DiskError
from ablate.launch.slurm.job import BEGAN, Job
from ablate.launch.slurm.submission import Array
from ablate.sweep.layout import SweepDir

DEAF = 'trap "" USR2; exec "$0" "$@"'
"""A shell command that starts Python with the signal ignored, which would end Python before its handler is set."""
RESTARTS = 1_000_000  # submitit limits restarts to stop endless jobs; ours gives up by itself when there is no progress


class _Executor(SlurmExecutor):
    @classmethod
    def affinity(cls) -> int:
        """Return the affinity of a machine with srun, which is needed where a job starts, not where it is submitted."""
        return 2


def batch_script(directory: Path, token: str, array: Array, slurm: Slurm, at_once: int) -> str:
    """Return the text of the batch script for sbatch, without writing it.

    Args:
        directory: the sweep's directory.
        token: the token of the submission.
        array: the array that the script starts.
        slurm: the resources of each job.
        at_once: how many of its jobs run at a time.
    """
    executor = _Executor(SweepDir(directory).job(token), RESTARTS, python=f"sh -c {shlex.quote(DEAF)} {_python(slurm)}")
    executor.update_parameters(**_parameters(array, slurm, at_once))
    if array.count > 1:
        executor.parameters["map_count"] = array.count
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def _python(slurm: Slurm) -> str:
    """Return the command that starts Python in a job: this Python by its path, or the container's command.

    In a container, the path is added unless the container's command ends with the name of a Python there.
    """
    mine = shlex.quote(sys.executable)
    if not slurm.container:
        return mine
    last = slurm.container.split()[-1].rpartition("/")[2]
    return slurm.container if re.fullmatch(r"python[\d.]*", last) else f"{slurm.container} {mine}"


def _parameters(array: Array, slurm: Slurm, at_once: int) -> dict[str, Any]:
    return {
        "job_name": array.name,
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        "time": slurm.time,
        "nodes": slurm.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": slurm.cpus,
        "gpus_per_node": slurm.gpus or None,
        "mem": slurm.memory,
        "setup": [f"export {BEGAN}=$(date +%s)", *slurm.setup],
        "signal_delay_s": slurm.warning,
        "array_parallelism": at_once,
        "wckey": None,
        "additional_parameters": {"requeue": True, **slurm.extra},
        # from Slurm 22.05 on, srun takes one core unless it is told the number, too
        "srun_args": ["--kill-on-bad-exit=1", f"--cpus-per-task={slurm.cpus}"],
    }


def hand_over(directory: Path, token: str, array: Array, slurm: Slurm) -> None:
    """Write the pickles of ``array``, unless they are there already.

    A task that starts before its pickle is there waits for up to a minute.

    Args:
        directory: the sweep's directory.
        token: the token of the submission.
        array: the array, whose job id must be known.
        slurm: the resources of each job.

    Raises:
        DiskError: the disk refused a write.
    """
    folder = SweepDir(directory).job(token)
    tasks = [array.job_id] if array.count == 1 else [f"{array.job_id}_{task}" for task in range(array.count)]
    paths = [JobPaths(folder, job_id=task).submitted_pickle for task in tasks]
    if paths[-1].exists():  # pickles are written in order
        return
    try:
        for number, path in enumerate(paths, start=array.first):
            if not path.exists():
                _pickle(Job(str(directory.absolute()), token, number), slurm.time, path)
    except OSError as error:
        raise DiskError(error.errno, error.strerror, str(folder)) from error


def _pickle(job: Job, minutes: int, path: Path) -> None:
    delayed = DelayedSubmission(job)
    delayed.set_timeout(minutes, RESTARTS)
    draft = path.with_suffix(".new")
    delayed.dump(draft)
    draft.replace(path)
