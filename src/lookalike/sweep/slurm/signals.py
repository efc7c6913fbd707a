"""What a cluster's job does when SLURM warns it: its time is over, or others want its node."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lookalike.sweep.states import TIMED_OUT


class OutOfTime(BaseException):
    """The job's time is over, and it is not queued again.

    No ``Exception``: it comes from a signal, in the middle of anything, and must not pass for a broken image
    or an index that cannot be built.
    """


@contextmanager
def warned() -> Iterator[None]:
    """Let the end of the job's time leave the block as :class:`OutOfTime`.

    Submitit's handler queues a preempted job again and ends the process (SystemExit). When it does not queue
    it again, it raises an ``Exception``, wherever the process happens to be.
    """
    from submitit import JobEnvironment
    from submitit.core.utils import UncompletedJobError

    number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    handle = signal.getsignal(number)

    def handle_and_tell(received: int, frame: FrameType | None) -> None:
        try:
            if callable(handle):
                handle(received, frame)
        except UncompletedJobError:
            raise OutOfTime(
                f"{TIMED_OUT}: SLURM gave it no more time, and it was not to be queued again; "
                "raise hydra.launcher.timeout_min or max_num_timeout; what was finished is kept"
            ) from None

    signal.signal(number, handle_and_tell)
    try:
        yield
    finally:
        signal.signal(number, handle)
