"""A sweep on a SLURM cluster: jobs that are submitted, watched, warned and gathered."""
