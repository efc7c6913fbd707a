"""Many runs as one: which jobs there are, what each does, and the entry that their points are gathered under.

blocks      override lines → jobs: a union of products
plan        jobs → points that are measured once each, those that are skipped and why
conduct     plan, launch, gather: a whole sweep
gathering   the parent run: opened before the first job, closed whatever happens
task        one job: what Hydra calls
closing     the table and the lines at the end

Only ``task`` knows Hydra; the sweeper in ``hydra_plugins`` joins the rest to it.
"""

from __future__ import annotations

from lookalike.sweep.blocks import job_lines, split_block
from lookalike.sweep.conduct import conduct
from lookalike.sweep.gathering import gathered
from lookalike.sweep.plan import Candidate, Job, Plan, make_plan, sweep_name
from lookalike.sweep.task import Outcome, Parts, Task

__all__ = [
    "Candidate",
    "Job",
    "Outcome",
    "Parts",
    "Plan",
    "Task",
    "conduct",
    "gathered",
    "job_lines",
    "make_plan",
    "split_block",
    "sweep_name",
]
