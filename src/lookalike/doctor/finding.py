"""What the doctor says of one thing that it looked at, and how it asks programs of the system."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OK = "ok"
NOTE = "note"
PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What was seen, and what to do about it."""

    topic: str
    """device | faiss | threads | memory | store | tracking | slurm | extras | models."""
    status: str
    """ok | note (works, but worth knowing) | problem (something will fail or mislead)."""
    text: str
    """What was seen, in one line."""
    cure: str = ""
    """What to do about a problem, in one sentence."""


def ok(topic: str, text: str) -> Finding:
    """Return a finding that all is as it should be."""
    return Finding(topic, OK, text)


def note(topic: str, text: str, cure: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(topic, NOTE, text, cure)


def problem(topic: str, text: str, cure: str) -> Finding:
    """Return a finding that something will fail or mislead, and its cure."""
    return Finding(topic, PROBLEM, text, cure)


ASK_SECONDS = 10.0

Ask = Callable[[Sequence[str]], str | None]
"""A command line -> its standard output; None when there is no such program, or it fails."""


def ask(command: Sequence[str]) -> str | None:
    """Return what ``command`` prints within ``ASK_SECONDS``; None when it fails or does not exist."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
