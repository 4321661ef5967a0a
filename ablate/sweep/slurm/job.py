"""The old path of ``Job``, which jobs of an earlier version unpickle; the next release removes it."""

from ablate.launch.slurm.job import Job

__all__ = ["Job"]
