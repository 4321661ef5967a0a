"""Jobs that were submitted by an earlier version unpickle this; it goes with the next release."""

from ablate.launch.slurm.job import Job

__all__ = ["Job"]
