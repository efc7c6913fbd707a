"""Which runs a report is about: a sweep's name, folders, record files, an MLflow search, or the latest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Protocol

from lookalike.errors import UserError
from lookalike.runs.record import FILE_NAME, Record, read_records

COMPARISON = "comparison.md"
"""Lies in a sweep's folder; its heading is the sweep's name."""
PLACES = ("multirun", "outputs")
"""Below the root; each holds ``<day>/<time>`` folders, ``multirun`` also those of sweeps with a name."""
LEDGER = "sweep.json"
"""Lies in a sweep's folder."""
DAY, TIME = "%Y-%m-%d", "%H-%M-%S.%f"


@dataclass(frozen=True)
class Run:
    """A record and, where they are known, the raw neighbours and samples behind it."""

    record: Record
    folder: Path | None
    """The record's own folder; None when only MLflow has the record."""


class Found(Protocol):
    """Points of one record that a tracker was asked for."""

    @property
    def trial_keys(self) -> set[str]:
        """Of the points."""

    @property
    def load(self) -> Callable[[], Record]:
        """Fetch the record from the tracker."""


@dataclass(frozen=True)
class Selection:
    """What was asked for, by a name that a title can bear."""

    name: str
    runs: tuple[Run, ...]
    folder: Path
    """Where a report of these runs lies best: the sweep's or run's folder, else the first of them."""


def sweep_name_of(folder: Path) -> str | None:
    """What the sweep in ``folder`` was called: the heading of its comparison; None when there is none."""
    try:
        with (folder / COMPARISON).open(encoding="utf-8", errors="replace") as file:
            heading = file.readline().removeprefix("# ").strip()
    except OSError:
        return None
    return unescape(heading.replace("\\|", "|")) or None


def select(root: Path, names: Sequence[str] = ()) -> Selection:
    """The runs of ``names``: paths of records or folders, or sweeps below ``root``; none: the latest sweep.

    Of several sweeps with one name the latest is meant. Raises :class:`UserError` when there is none.
    """
    parts = [_named(root, name) for name in names] or [latest(root)]
    runs = {run.record.identity: run for part in parts for run in part.runs}
    return Selection(", ".join(part.name for part in parts), tuple(runs.values()), parts[0].folder)


def latest(root: Path) -> Selection:
    """The newest sweep below ``root``, or where there is none yet the newest run."""
    single = None
    for folder in _folders(root):
        runs = runs_in(folder)
        if sum(len(run.record.points) for run in runs) > 1:
            return _selection(folder, runs)
        if runs and single is None:
            single = _selection(folder, runs)
    if single is None:
        raise UserError(
            f"there are no runs below {root}; run an experiment there first, name another root with --root, "
            "or name the folder of a run"
        )
    return single


def runs_in(folder: Path) -> list[Run]:
    """Every run whose record lies in ``folder`` or below it, in the order in which they started.

    A record that cannot be read is named on standard error and left out.
    """
    files = [folder / FILE_NAME] if (folder / FILE_NAME).is_file() else sorted(folder.rglob(FILE_NAME))
    runs = [Run(record, place) for place, record in read_records(files)]
    return sorted(runs, key=lambda run: run.record.started)


def chosen_points(root: Path, found: Mapping[str, Found]) -> list[Run]:
    """Runs by identity, each with only the points that were found.

    A run whose folder lies below ``root`` is taken from there, with its raw samples; of another one, the
    tracker has just the record.
    """
    local = {run.record.identity: run for folder in _folders(root) for run in runs_in(folder)}
    runs = []
    for identity, part in found.items():
        run = local.get(identity) or Run(part.load(), None)
        points = [point for point in run.record.points if point.trial_key in part.trial_keys]
        runs.append(Run(replace(run.record, points=points), run.folder))
    return runs


def _named(root: Path, name: str) -> Selection:
    path = Path(name).expanduser()
    if path.is_file():
        return Selection(path.parent.name, (Run(Record.load(path), path.parent),), path.parent)
    if path.is_dir():
        runs = [Run(Record.load(path), path)] if (path / FILE_NAME).exists() else runs_in(path)
        if not runs:
            raise UserError(f"{path} holds no {FILE_NAME}; name the folder of a run or a sweep")
        return _selection(path, runs)
    known = []
    for folder in _folders(root):
        called = sweep_name_of(folder)
        if name in (called, folder.name) and (runs := runs_in(folder)):
            return _selection(folder, runs)
        known += [called] if called else []
    raise UserError(_unknown(root, name, list(dict.fromkeys(known))))


def _selection(folder: Path, runs: Sequence[Run]) -> Selection:
    name = sweep_name_of(folder) or (runs[0].record.name if len(runs) == 1 else folder.name)
    return Selection(name, tuple(runs), folder)


def _folders(root: Path) -> Iterator[Path]:
    """Folders of sweeps and runs below ``root``, newest first.

    The name of most is a day and a time; a sweep that has a name of its own is as old as its last try.
    """
    named = {path.parent: _moment(path) for place in PLACES for path in (root / place).glob(f"*/{LEDGER}")}
    dated = {
        folder: folder.parts[-2:]
        for place in PLACES
        for folder in (root / place).glob("*/*")
        if folder.is_dir() and folder.parent not in named
    }
    moments = named | dated
    yield from sorted(moments, key=lambda folder: moments[folder], reverse=True)


def _moment(path: Path) -> tuple[str, ...]:
    """When a file was written, as folders are named: day, time."""
    written = datetime.fromtimestamp(path.stat().st_mtime)
    return written.strftime(DAY), written.strftime(TIME)


def _unknown(root: Path, name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    if close:
        cure = f"did you mean {close[0]!r}?"
    elif known:
        cure = "known sweeps: " + ", ".join(repr(sweep) for sweep in known[:5])
    else:
        cure = "name the folder of a run or a sweep instead"
    return f"there is no sweep and no path called {name!r} (looked below {root}); {cure}"
