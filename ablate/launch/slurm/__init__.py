"""Sweeps on a Slurm cluster: how trials become jobs, what runs inside one, and what the scheduler is asked."""
