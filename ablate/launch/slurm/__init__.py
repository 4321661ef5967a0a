"""Run sweeps on a Slurm cluster: turn trials into jobs, run inside the jobs, and talk to the scheduler."""
