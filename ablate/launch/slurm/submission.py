"""Read and write submissions: one file each under ``DIR/jobs``, written before sbatch is called. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from ablate.config.base import Model
from ablate.config.slurm import Slurm
from ablate.files import write_atomically
from ablate.sweep.layout import SweepDir


class Array(Model):
    """One Slurm job array for packs ``first`` to ``first + count - 1``; a plain job if ``count`` is 1.

    ``name`` is the job's, unique to this array; ``job_id`` is None until sbatch has answered.
    """

    name: str
    first: int
    count: int
    job_id: str | None = None


class Submission(Model):
    """The jobs that one command submits to Slurm.

    ``token`` names the submission. ``packs`` holds each job's trial ids, by pack number. ``created`` is in unix
    seconds. ``cache`` is where the jobs find the decoded images. ``until`` is the epoch after which trials are parked,
    to be compared with the others (None: they are trained to the end).
    """

    token: str
    created: float
    user: str
    host: str
    cache: str
    slurm: Slurm
    until: int | None = None
    packs: tuple[tuple[str, ...], ...]
    arrays: tuple[Array, ...]


def note_cancelling(directory: Path) -> None:
    """Tell the command that waits for the jobs, if there is one, that they were cancelled."""
    write_atomically(SweepDir(directory).cancelled, "")


def was_cancelled(directory: Path) -> bool:
    """Return True if the jobs were cancelled since :func:`forget_cancelling`."""
    return SweepDir(directory).cancelled.exists()


def forget_cancelling(directory: Path) -> None:
    """Forget an earlier cancelling, so that the same command continues after ``ablate cancel``."""
    SweepDir(directory).cancelled.unlink(missing_ok=True)


def write_submission(directory: Path, submission: Submission) -> None:
    """Write the file of ``submission``, atomically.

    Raises:
        DiskError: the disk refused the write.
    """
    write_atomically(SweepDir(directory).submission(submission.token), submission.model_dump_json(indent=1))


def read_submission(directory: Path, token: str) -> Submission:
    """Read the submission ``token``.

    Raises:
        FileNotFoundError: there is no such submission.
        ValueError: the file is damaged.
    """
    return Submission.model_validate_json(SweepDir(directory).submission(token).read_bytes())
