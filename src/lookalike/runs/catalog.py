"""Which finished runs there are, and which of them a word means: the only place that looks for runs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from html import unescape
from pathlib import Path

from lookalike.errors import UserError
from lookalike.runs.paths import LEDGER, RECORD, HomePaths, ReportPaths, RunPaths, SweepPaths
from lookalike.runs.points import RunPoint, best_point, pick_point
from lookalike.runs.recompose import experiment_of
from lookalike.runs.record import PointRecord, Record, read_records
from lookalike.schemas import VectorDataset
from lookalike.store.files import bytes_below
from lookalike.store.layout import changed_at
from lookalike.store.upkeep import DAY_SECONDS, Removal

LATEST = "latest"
SHORTEST_ID = 6
"""Characters of an id that are enough when no other one begins so."""
ABANDONED_SECONDS = 30 * DAY_SECONDS
"""A run that writes nothing for so long, not even a line of its log, is not going to."""


@dataclass(frozen=True)
class Run:
    """A record, and where it lies."""

    record: Record
    folder: Path | None
    """The record's own folder, with raw neighbours and samples; None when only MLflow has the record."""


@dataclass(frozen=True)
class Selection:
    """The runs that a word means."""

    name: str
    """A title for them: the sweep's, or the run's name."""
    runs: tuple[Run, ...]
    """In the order in which they were started; failed ones too."""
    folder: Path
    """Of the sweep or the run: where a report of them belongs."""

    @property
    def points(self) -> list[RunPoint]:
        """All operating points of the runs that lie in a folder."""
        return [
            RunPoint(run.folder, run.record, point)
            for run in self.runs
            if run.folder is not None
            for point in run.record.points
        ]


# --- what there is -----------------------------------------------------------------------------------------


def record_files(folder: Path) -> Iterator[Path]:
    """Yield every record at and below ``folder``, which may be one; nothing below a run's own folder."""
    for place, folders, files in os.walk(folder.parent if folder.is_file() else folder):
        if RECORD in files:
            folders.clear()
            yield Path(place) / RECORD


def records_below(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield (folder, record) of every run at and below ``folder``.

    A record that cannot be read is named on standard error and left out.
    """
    return read_records(record_files(folder))


def runs_below(*folders: Path) -> list[Run]:
    """Return every run at and below ``folders``, in the order in which they were started."""
    runs = [Run(record, place) for folder in folders for place, record in records_below(folder)]
    return sorted(runs, key=lambda run: (run.record.started, str(run.folder)))


def records_of_sweep(folder: Path, known: Mapping[str, Record] | None = None) -> dict[str, Record]:
    """Return the records of the sweep in ``folder`` by the names of their jobs' folders, oldest first.

    Those that are ``known`` by these names are not read. One that cannot be read is named on standard error
    and left out: its job counts as lost.
    """
    known = known or {}
    files = SweepPaths(folder).records()
    found = {file.parent.name: known[file.parent.name] for file in files if file.parent.name in known}
    others = read_records(file for file in files if file.parent.name not in known)
    found |= {place.name: record for place, record in others}
    return dict(sorted(found.items(), key=lambda item: item[1].started))


def sweep_around(folder: Path) -> Path | None:
    """Return the folder of the sweep that ``folder`` is, or holds a run of; None for a run of its own."""
    return next((each for each in (folder, folder.parent) if SweepPaths(each).is_sweep), None)


def sweeps_below(root: Path) -> list[Path]:
    """Return the folders of the sweeps of ``root`` that have a ledger, the last begun or resumed first."""
    top = HomePaths(root).multirun
    ledgers = [path for depth in ("*", "*/*") for path in top.glob(f"{depth}/{LEDGER}")]
    return [path.parent for path in sorted(ledgers, key=changed_at, reverse=True)]


def title_of(folder: Path) -> str | None:
    """Return the heading of the comparison in ``folder``: the title as it was given; None without one."""
    try:
        with ReportPaths(folder).comparison.open(encoding="utf-8", errors="replace") as file:
            heading = file.readline().removeprefix("# ").strip()
    except OSError:
        return None
    return unescape(heading.replace("\\|", "|")) or None


def abandoned_runs(root: Path) -> Iterator[Removal]:
    """Yield the output folders of ``root`` whose run left no record and wrote nothing for a month.

    A killed run leaves them; one that ends in any other way removes its own.
    """
    home = HomePaths(root)
    begun = [*home.outputs.glob("*/*/.hydra"), *home.multirun.glob("**/.hydra")]
    for run in sorted((RunPaths(path.parent) for path in begun), key=lambda run: run.folder):
        last = max(changed_at(path) for path in (run.folder, run.hydra, run.log))
        if run.has_no_results and time.time() - last > ABANDONED_SECONDS:
            yield Removal("output folder", run.folder, bytes_below(run.folder), "its run left no record")


def searchable_points(root: Path) -> list[RunPoint]:
    """Return the newest run of every index over images below ``root``, newest first, at its best point.

    Runs of ready or made-up vectors, and records that cannot be composed again, are left out.
    """
    newest: dict[tuple[str, str], RunPoint] = {}
    for run in runs_below(*HomePaths(root).results)[::-1]:
        index = run.record.index
        key = (str(run.record.data.get("gallery_key")), str(index.get("key") or index.get("family")))
        if run.record.points and key not in newest and _has_images(run.record):
            newest[key] = best_point(_alone(run).points)
    return list(newest.values())


def find_searchable(root: Path, selector: str | None = None) -> RunPoint:
    """Return what :func:`find_point` does; without a selector the newest run over images.

    Raises UserError when there is none.
    """
    if selector is not None:
        return find_point(root, selector)
    if points := searchable_points(root):
        return points[0]
    raise NotFoundError(
        f"there are no runs over images under {root.resolve()}; run an experiment first: lookalike run, or "
        "name another root with --root"
    )


def _has_images(record: Record) -> bool:
    try:
        return not isinstance(experiment_of(record.config).dataset, VectorDataset)
    except UserError:
        return False


# --- which is meant ----------------------------------------------------------------------------------------


def select(root: Path, name: str | None = None) -> Selection:
    """Return the runs that ``name`` means below ``root``; None means ``latest``.

    - ``latest``: the run, or all of the sweep, that was started last and measured something;
    - a path: the output folder of a run or a sweep, any folder with runs below it, or a ``record.json``;
    - an id: of a point in MLflow (its first characters will do), or of a sweep's parent run;
    - a name: of a sweep (``sweep.name``, its title, or its folder's name), or of a run.

    Of several sweeps or runs with one name the newest is meant. Raises UserError when there is none, with
    the names that come close, or when an id is of several.
    """
    wanted = name or LATEST
    return _at_path(root, wanted) or _called(root, wanted)


def select_all(root: Path, names: Sequence[str] = ()) -> Selection:
    """Return all that ``names`` mean, as :func:`select` finds each, every run once; none: the latest."""
    parts = [select(root, name) for name in names or (LATEST,)]
    runs = {run.record.identity: run for part in parts for run in part.runs}
    return Selection(", ".join(part.name for part in parts), tuple(runs.values()), parts[0].folder)


def find_point(root: Path, selector: str | None = None) -> RunPoint:
    """Return the operating point that ``selector`` means.

    ``selector`` is a name as :func:`select` takes it and, after a colon, the point: its label, or words of it
    (``emoji:hnsw``, ``latest:nprobe=8``). The id of a point in MLflow means that point. Else the best point
    is taken, see :func:`best_point`. Raises UserError when nothing, or more than one point, is meant.
    """
    wanted, label = selector or LATEST, ""
    try:
        selection = select(root, wanted)
    except NotFoundError:
        if ":" not in wanted:
            raise
        wanted, _, label = wanted.rpartition(":")
        selection = select(root, wanted)
    points = selection.points
    if not points:
        raise UserError(_measured_nothing(selection))
    if label.strip():
        return pick_point(points, label.strip())
    if _is_id(wanted) and (named := [each for each in points if _has_id(each.point, wanted)]):
        return named[0]
    return best_point(points)


def find_sweep(root: Path, name: str) -> Path:
    """Return the folder of a sweep that has a ledger: ``latest``, by its name, or by its path; absolute.

    Raises UserError with the names of the sweeps there are.
    """
    there = sweeps_below(root)
    if name == LATEST and there:
        return there[0].absolute()
    for folder in (HomePaths(root).sweep(name), Path(name).expanduser()):
        if SweepPaths(folder).ledger.is_file():
            return folder.absolute()
    close = get_close_matches(name, [sweep_label(folder, root) for folder in there], n=1)
    cure = f"did you mean {close[0]}?" if close else "`lookalike sweep ls` lists those there are"
    raise UserError(f"there is no sweep {name} below {HomePaths(root).multirun}; {cure}")


def sweep_label(folder: Path, root: Path) -> str:
    """Return what ``find_sweep`` finds a sweep of ``root`` by: its name, or day and time."""
    return folder.relative_to(HomePaths(root).multirun).as_posix()


class NotFoundError(UserError):
    """No run is meant by a name."""


def _paths_of(root: Path, wanted: str) -> list[Path]:
    """What is there of that path, from here or from the root."""
    paths = (Path(wanted).expanduser(), root / wanted) if wanted != LATEST else ()
    return [path for path in paths if path.exists()]


def _at_path(root: Path, wanted: str) -> Selection | None:
    """The runs at and below a path; of a part of a sweep only that part. None when there are none."""
    for path in _paths_of(root, wanted):
        if path.is_file():
            return _selection(path.parent, [Run(Record.load(path), path.parent)])
        if (path / RECORD).exists():
            return _selection(path, [Run(Record.load(path), path)])
        if runs := runs_below(path):
            return _selection(path, runs)
    return None


def _called(root: Path, wanted: str) -> Selection:
    """What an id or a name means; of several runs or sweeps the newest."""
    runs = runs_below(*HomePaths(root).results)[::-1]  # the newest first
    measured = [run for run in runs if run.record.points]
    if wanted == LATEST:
        if not runs:
            raise NotFoundError(
                f"there are no finished runs under {root.resolve()}; run an experiment first: lookalike run, "
                "or name another root with --root"
            )
        return _with_its_sweep((measured or runs)[0], runs)
    if _is_id(wanted) and (found := _by_id(runs, wanted)):
        return found
    for run in (*measured, *runs):
        if wanted in _sweep_names(run):
            return _with_its_sweep(run, runs)
    for run in (*measured, *runs):
        if run.record.name == wanted:
            return _alone(run)
    for path in _paths_of(root, wanted):
        raise NotFoundError(f"{path} holds no {RECORD} of a run; name the output folder of a run or a sweep")
    raise NotFoundError(_unknown(root, wanted, runs))


def _is_id(wanted: str) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},32}}", wanted) is not None


def _has_id(point: PointRecord, wanted: str) -> bool:
    return (point.mlflow_run_id or "").startswith(wanted)


def _by_id(runs: Sequence[Run], wanted: str) -> Selection | None:
    """The run with a point of this id, or the sweep whose parent run has it."""
    points = [(run, point) for run in runs for point in run.record.points if _has_id(point, wanted)]
    if len({point.mlflow_run_id for _, point in points}) > 1:
        raise UserError(f"{wanted} begins several runs' ids; give more of it")
    if points:
        return _alone(points[0][0])
    in_sweep = next((run for run in runs if (_parent(run.record) or "").startswith(wanted)), None)
    return _with_its_sweep(in_sweep, runs) if in_sweep else None


def _with_its_sweep(one: Run, runs: Iterable[Run]) -> Selection:
    """``one`` and, if it was a job of a sweep, everything in the sweep."""
    sweep = _sweep_of(one)
    if sweep is None:
        return _alone(one)
    return _selection(sweep, [run for run in runs if _sweep_of(run) == sweep][::-1])


def _alone(run: Run) -> Selection:
    return _selection(run.folder or Path(), [run])


def _selection(folder: Path, runs: Sequence[Run]) -> Selection:
    name = title_of(folder) or (runs[0].record.name if len(runs) == 1 else folder.name)
    return Selection(name, tuple(runs), folder)


def _sweep_of(run: Run) -> Path | None:
    folder = run.folder
    return None if folder is None or not SweepPaths(folder.parent).is_sweep else folder.parent


def _sweep_names(run: Run) -> list[str]:
    """What the run's sweep, or its several points, are called: in config, comparison and folder."""
    sweep = _sweep_of(run)
    names = [run.record.config.get("sweep", {}).get("name"), title_of(sweep or run.folder or Path())]
    return [str(name) for name in (*names, sweep.name if sweep else None) if name]


def _parent(record: Record) -> str | None:
    parent = record.config.get("tracking", {}).get("parent")
    return None if parent is None else str(parent)


def _unknown(root: Path, wanted: str, runs: Sequence[Run]) -> str:
    known = list(dict.fromkeys(name for run in runs for name in (*_sweep_names(run), run.record.name)))
    close = get_close_matches(wanted, known, n=1)
    if close:
        cure = f"did you mean {close[0]!r}?"
    else:
        cure = "give a run's id, a sweep's name, the path of an output folder, or latest"
        if known:
            cure += " (there are " + ", ".join(repr(name) for name in known[:5]) + ")"
    return f"no run or sweep under {root.resolve()} is called {wanted}; {cure}"


def _measured_nothing(selection: Selection) -> str:
    reason = next((f" ({run.record.error})" for run in selection.runs if run.record.error), "")
    return f"the run in {selection.folder} measured nothing{reason}; name another one"
