"""Many runs as one: which jobs there are, what each does, and the entry that their points are gathered under.

blocks      override lines → combinations, each composed: a union of products
plan        jobs → points that are measured once each, those that are skipped and why
run         plan, launch, gather: a whole sweep
resume      what is left of a sweep that was begun before; one process at a time works on it
ledger      sweep.json: what was asked for, and what was handed to a scheduler
states      how each point stands: done, running, failed, lost ...
final       the points of all indexes' fronts, timed together after all jobs
slurm       jobs that a scheduler runs, and what it says of them
gathering   the parent run: opened before the first job, closed whatever happens
collecting  a detached sweep: its jobs' results gathered, or its jobs cancelled
grouping    which records of a folder belong under one parent: for `lookalike sync`
task        one job: what Hydra calls
closing     the table and the lines at the end

Only ``blocks``, ``task`` and ``slurm`` import Hydra; ``hydra_plugins`` and ``api`` join the rest to it.
"""

from __future__ import annotations
