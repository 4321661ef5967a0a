"""Run trials, in worker processes on this machine or in jobs on a Slurm cluster."""
