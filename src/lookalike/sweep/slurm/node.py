"""What a cluster's node runs, once per job: ``python -m lookalike.sweep.slurm.node FOLDER``.

Submitit's own entry ends well once a result is written, so that a job which failed would be COMPLETED in
SLURM's eyes. This one ends as its job did. SLURM warns a job when its time is over or others want its node.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from submitit import JobEnvironment
from submitit.core.submission import process_job
from submitit.core.utils import UncompletedJobError
from submitit.slurm.slurm import SlurmExecutor

from lookalike.machine.processes import ISOLATED
from lookalike.sweep.slurm.jobs import exit_code_of, read_result
from lookalike.sweep.states import TIMED_OUT


class Executor(SlurmExecutor):  # type: ignore[misc]  # submitit is an extra, mypy does not follow it
    """Submitit's, with this module as what the nodes run."""

    @property
    def _submitit_command_str(self) -> str:
        return f"{self.python} -u {' '.join(ISOLATED)} -m {__spec__.name} {shlex.quote(str(self.folder))}"


class OutOfTime(BaseException):
    """The job's time is over, and it is not queued again.

    No ``Exception``: it comes from a signal, in the middle of anything, and must not pass for a broken image
    or an index that cannot be built.
    """


@contextmanager
def warned() -> Iterator[None]:
    """Raise :class:`OutOfTime` in the block when the job's time is over.

    Submitit's handler queues a preempted job again and ends the process (SystemExit). When it does not queue
    it again, it raises an ``Exception``, wherever the process happens to be.
    """
    number = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
    handle = signal.getsignal(number)

    def handle_and_raise(received: int, frame: FrameType | None) -> None:
        try:
            if callable(handle):
                handle(received, frame)
        except UncompletedJobError:
            raise OutOfTime(
                f"{TIMED_OUT}: SLURM gave it no more time, and it was not to be queued again; "
                "raise hydra.launcher.timeout_min or max_num_timeout; what was finished is kept"
            ) from None

    signal.signal(number, handle_and_raise)
    try:
        yield
    finally:
        signal.signal(number, handle)


def main(folder: str) -> int:
    """Do the job that was left in submitit's ``folder`` and return its exit code."""
    process_job(folder)
    return exit_code_of(read_result(Path(JobEnvironment().paths.result_pickle)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
