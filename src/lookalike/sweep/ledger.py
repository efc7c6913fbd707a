"""A sweep's own file, ``sweep.json`` in its folder: what it measures, and what was submitted to a scheduler.

Records say what was measured; the ledger says what was asked for, so that a sweep can be looked at, resumed
and finished by another process than the one that began it. The fields are the file's keys, one to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lookalike.errors import UserError
from lookalike.runs.files import load_own_json, read_as, writing_results
from lookalike.runs.paths import SweepPaths
from lookalike.store.files import write_json

FORMAT = 1

BUILD, TIME, FINAL, COLLECT = "build", "time", "final", "collect"
"""Phases of a :class:`Submission`."""
NOTHING_TO_TIME = "nothing to time together: the points on or near a front are of one run"
"""Why a sweep has no final timing, which times points of several runs."""


@dataclass
class LedgerJob:
    """One run of the sweep: an index with the operating points that are measured on it."""

    folder: str
    """Name of its output folder, below the sweep's; no other try of the same job has it."""
    overrides: list[str]
    """What the launcher is given: the user's overrides and the sweep's own."""
    points: list[dict[str, str]]
    """``key`` and ``label`` of the points that it measures."""
    config: dict[str, Any]
    """The composed experiment, ``dataclasses.asdict``."""
    builds: str
    """The same for jobs whose build phases make the same artifacts."""


@dataclass
class Submission:
    """One SLURM array or job that works for the sweep."""

    phase: str
    """build | time | final | collect."""
    job_id: str
    """Of the array or job."""
    tasks: list[str]
    """Output folders of the jobs, in the order of the array's tasks; empty for the others."""
    folder: str
    """Submitit's folder, with the scripts, logs and results of this submission."""


@dataclass
class Ledger:
    """What a sweep measures, the entry that tracks it, and what was submitted for it."""

    name: str
    """``sweep.name``, or what the sweep was called for want of one."""
    created: str
    """ISO 8601 with the time zone."""
    arguments: list[str]
    """The command line behind ``lookalike run``: given again, it resumes the sweep."""
    parent: str | None = None
    """The tracker's id of the entry that the points are gathered under."""
    jobs: list[LedgerJob] = field(default_factory=list)
    """Of every try; a point is in several when an earlier try failed, and the last one counts."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    """``what`` and ``why`` of combinations and points that are impossible."""
    submissions: list[Submission] = field(default_factory=list)
    directory: str = "."
    """Where the command was given: paths among its arguments are relative to it."""

    def save(self, folder: Path) -> Path:
        """Write ``folder/sweep.json`` in one step: a reader sees the old file or the new one, whole.

        Raises :class:`UserError` when the folder cannot be written or its disk is full.
        """
        path = SweepPaths(folder).ledger
        with writing_results(folder):
            write_json(path, {"format": FORMAT, **asdict(self)})
        return path

    @classmethod
    def load(cls, folder: Path) -> Ledger:
        """Read the ledger of the sweep in ``folder``.

        Raises :class:`UserError` when there is none, when it is damaged, or when another version of
        Lookalike wrote it.
        """
        path = SweepPaths(folder).ledger
        content = load_own_json(
            path,
            FORMAT,
            kind="the ledger of a sweep",
            cure=_CURE,
            absent=f"{folder} holds no {path.name}; name the folder of a sweep",
            instead="give the sweep another name",
        )
        try:
            ledger: Ledger = read_as(cls, content, "sweep")
            for job in ledger.jobs:
                _check_inside(job.folder)
                _check_keys(job.points, {"key", "label"})
            _check_keys(ledger.skipped, {"what", "why"})
        except (TypeError, ValueError) as fault:
            raise UserError(f"{path} is damaged ({fault}); {_CURE}") from None
        return ledger


_CURE = "restore it, or remove the folder and run the sweep again"


def _check_inside(folder: str) -> None:
    """Raise ``ValueError`` for the name of a job's folder that leads out of the sweep's."""
    if Path(folder).name != folder or folder in ("", ".", ".."):
        raise ValueError(f"{folder!r} is not a name of a job's folder")


def _check_keys(entries: Sequence[dict[str, str]], names: set[str]) -> None:
    """Raise ``ValueError`` unless each entry has all of ``names``."""
    for entry in entries:
        if missing := names - entry.keys():
            raise ValueError(f"{', '.join(sorted(missing))} is missing in {entry}")
