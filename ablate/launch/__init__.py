"""Who runs trials: worker processes of this machine, or jobs on a Slurm cluster."""
