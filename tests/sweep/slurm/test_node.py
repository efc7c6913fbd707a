"""The end of a job's time, as a signal in the middle of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from submitit.core.utils import UncompletedJobError

from lookalike.sweep.slurm.node import OutOfTime, warned


@pytest.fixture
def warn() -> Iterator[dict[str, BaseException]]:
    """A place for what submitit's handler raises on SIGUSR2; the handler is there during the test."""
    reaction: dict[str, BaseException] = {}

    def submitits(number: int, frame: FrameType | None) -> None:
        raise reaction["raises"]

    before = signal.signal(signal.SIGUSR2, submitits)
    yield reaction
    signal.signal(signal.SIGUSR2, before)


def swallow_errors() -> None:
    """As work does that takes an image for broken, or says what FAISS could not do."""
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
    except Exception as error:
        raise AssertionError("it passed for an error of the work") from error


def test_the_end_of_the_time_is_no_error_of_the_work(warn: dict[str, BaseException]) -> None:
    warn["raises"] = UncompletedJobError("Job not requeued because: timed-out too many times.")

    with pytest.raises(OutOfTime, match=r"^timed out: .* raise hydra\.launcher\.timeout_min"), warned():
        swallow_errors()


def test_a_job_that_is_queued_again_just_ends(warn: dict[str, BaseException]) -> None:
    warn["raises"] = SystemExit(-1)

    with pytest.raises(SystemExit), warned():
        swallow_errors()


def test_afterwards_submitits_handler_is_back(warn: dict[str, BaseException]) -> None:
    before = signal.getsignal(signal.SIGUSR2)

    with warned():
        pass

    assert signal.getsignal(signal.SIGUSR2) is before
