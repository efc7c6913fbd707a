"""A sweep on a SLURM cluster.

submission   what is handed to SLURM
jobs         what the queue says of jobs, and how they come back
node         what runs on a node: one job, and the end of its time
"""
