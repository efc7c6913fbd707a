"""The command line as a user meets it: what it answers, and what it leaves on the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

QUICK = (
    "model=pixels",
    "index=flat",
    "search.k=5",
    "search.modes=[batch]",
    "search.repeats=1",
    "search.warm_up=0",
    "measures.bootstrap=0",
    "tracking=none",
)
"""Overrides of a run that takes a moment."""


class Ended(NamedTuple):
    """How a command ended: its exit code and all that it wrote, past Python too."""

    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """The one line that a command which the user can mend ends with."""
        assert self.code == 2, self
        assert "Traceback" not in self.out + self.err
        [line] = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.err.splitlines()[-1] == line, "nothing comes after the reason"
        return line.removeprefix("error: ")


def files_below(folder: Path) -> set[str]:
    """Every file, relative to ``folder``."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def artifacts(home: Path) -> list[str]:
    """Kinds of what is published in the store of ``home``, sorted."""
    return sorted(path.parent.name for path in (home / "store" / "artifacts").glob("*/*"))


def drafts(home: Path) -> list[str]:
    """What a build was working on in the store of ``home``; a workbench, kept to go on from, is none."""
    return [path.name for path in (home / "store" / "scratch").glob("*") if path.suffix != ".workbench"]


def records(home: Path) -> list[dict[str, Any]]:
    """The record of every run and job under ``home``, oldest first; MLflow's copies are left out."""
    paths = [path for kind in ("outputs", "multirun") for path in (home / kind).rglob("record.json")]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(found, key=lambda record: str(record["started"]))


Run = Callable[..., Ended]
"""Override lines -> how `lookalike run` ended."""
