"""One thing that the doctor looked at."""

from __future__ import annotations

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
    """As it should be."""
    return Finding(topic, OK, text)


def note(topic: str, text: str, cure: str = "") -> Finding:
    """Worth knowing."""
    return Finding(topic, NOTE, text, cure)


def problem(topic: str, text: str, cure: str) -> Finding:
    """Something will fail or mislead."""
    return Finding(topic, PROBLEM, text, cure)
