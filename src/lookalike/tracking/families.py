"""Records that one entry is gathered over: those of a sweep, or the points of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.runs.record import Record


@dataclass(frozen=True)
class Family:
    """What belongs under one parent."""

    key: str
    """The same whenever and wherever the family is looked at, and no other family's."""
    name: str
    folder: Path
    """Where the comparison and the reports lie."""
    records: Sequence[Record]
    """Of all members; never empty."""
    parent: str | None
    """What they say their parent is; it may be another server's, or deleted."""
    is_over: bool
    """Whether everything that was asked for has its record."""

    @property
    def started(self) -> str:
        """ISO 8601: when its first record began."""
        return min(record.started for record in self.records)
