"""What a cluster's node runs, once per job: ``python -m lookalike.sweep.slurm.worker FOLDER``.

Submitit's own entry ends well once a result is written, so that a job which failed would be COMPLETED in
SLURM's eyes. This one ends as its job did.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from submitit import JobEnvironment
from submitit.core.submission import process_job
from submitit.slurm.slurm import SlurmExecutor

from lookalike.machine.processes import ISOLATED
from lookalike.sweep.slurm.returned import exit_code_of, read_result


class Executor(SlurmExecutor):  # type: ignore[misc]  # submitit is an extra, mypy does not follow it
    """Submitit's, with this module as what the nodes run."""

    @property
    def _submitit_command_str(self) -> str:
        return f"{self.python} -u {' '.join(ISOLATED)} -m {__spec__.name} {shlex.quote(str(self.folder))}"


def main(folder: str) -> int:
    """Do the job that was left in submitit's ``folder``; returns the exit code that tells how it ended."""
    process_job(folder)
    return exit_code_of(read_result(Path(JobEnvironment().paths.result_pickle)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
