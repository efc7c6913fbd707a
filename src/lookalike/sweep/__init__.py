"""Many runs as one: which jobs there are, what each does, and the entry that their points are gathered under.

blocks      override lines → jobs: a union of products
plan        jobs → points that are measured once each, those that are skipped and why
run         plan, launch, gather: a whole sweep
resume      what is left of a sweep that was begun before; one process at a time works on it
ledger      sweep.json: what was asked for, and what was handed to a scheduler
states      how each point stands: done, running, failed, lost ...
queue       what SLURM says
gathering   the parent run: opened before the first job, closed whatever happens
collecting  a detached sweep: its jobs' results gathered, or its jobs cancelled
grouping    which records of a folder belong under one parent: for `lookalike sync`
task        one job: what Hydra calls
closing     the table and the lines at the end

Only ``task`` knows Hydra; the sweeper in ``hydra_plugins`` joins the rest to it.
"""

from __future__ import annotations
