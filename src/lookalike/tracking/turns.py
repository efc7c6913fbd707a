"""Waiting for one's turn: for others that write to the same database, or that log the same record."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lookalike.errors import TrackingError

T = TypeVar("T")

LOCKED = "database is locked"
PATIENCE_SECONDS = 180.0
"""How long one process waits for the others that write to the same SQLite file."""
TURN_SECONDS = 60.0
"""How long it waits for another one that makes the same database or logs the same record."""


def patiently(act: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """What ``act`` returns, tried again as long as others keep the SQLite file locked.

    SQLite lets one process write while the others try again; MLflow gives up after 20 s of bad luck, which
    one of 32 that log at once may have. ``act`` must be one that can be done twice.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except TrackingError as error:
            if LOCKED not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.1, 1.0))  # not all at the same moment again


@contextmanager
def one_at_a_time(folder: Path, seconds: float = TURN_SECONDS) -> Iterator[None]:
    """Hold off other processes of this machine that do what this one is doing with ``folder``.

    It saves work and is nothing to rely on: one that is suspended keeps the others no longer than
    ``seconds``, and where the file system has no locks nobody waits.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # the folder is made when the record is saved
        yield
        return
    try:
        deadline = time.monotonic() + seconds
        while not _locked(descriptor) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether nobody else holds it, or there are no locks here and nothing to wait for."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
