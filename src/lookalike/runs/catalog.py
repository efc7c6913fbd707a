"""Which operating point of which run is meant: the words after ``--run``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import UserError
from lookalike.index.families import is_exact
from lookalike.index.families.factory import nlist_in
from lookalike.runs.record import FILE_NAME, PointRecord, Record, read_records

LATEST = "latest"
FOLDERS = ("outputs", "multirun")
"""Where runs and sweeps are written, below the root."""
SHORTEST_ID = 6
"""Characters of an id that are enough when no other one begins so."""


@dataclass(frozen=True)
class RunPlace:
    """One operating point, and where its run lies."""

    folder: Path
    record: Record
    point: PointRecord


def find_run(root: Path, selector: str | None = None) -> RunPlace:
    """The operating point that ``selector`` names; None means ``latest``.

    - ``latest``: the run, or the sweep, that was started last under ``root``;
    - a path: the output folder of a run or a sweep, or a ``record.json``;
    - an id: of the point in MLflow (its first characters will do), or of a sweep's parent run;
    - a name: of a sweep as it was announced (``sweep.name``, or its overrides), or of a run;
    - any of these and, after a colon, the point: its label or words of it (``emoji:hnsw``,
      ``latest:nprobe=8``).

    Without a point, the best is taken: :func:`best_point`. Raises UserError when nothing, or more than one
    point, is meant.
    """
    wanted = selector or LATEST
    places = _matching(root, wanted)
    label = ""
    if not places and ":" in wanted:
        wanted, _, label = wanted.rpartition(":")
        places = _matching(root, wanted)
    if not places:
        raise UserError(_nothing(root, wanted))
    return _pick(places, label.strip()) if label.strip() else best_point(places)


def best_point(places: Sequence[RunPlace]) -> RunPlace:
    """The highest ``knn_recall`` of the points that do not look at every vector; of equals the fastest.

    So it lies on the recall–latency front. Exhaustive points (``flat``, ``brute_force``, ``nprobe`` of all
    lists) come into question when there are no others. ``knn_recall`` compares indexes of one gallery of
    vectors only: of several galleries or models the one is taken that finds most of what is relevant
    (``relevant_recall`` at k), and where nothing is judged the one measured last.
    """
    galleries = {str(place.record.data.get("gallery_key")) for place in places}
    if len(galleries) > 1:
        chosen = max(places, key=lambda place: (_at_k(place.point, "relevant_recall"), place.record.started))
        gallery = chosen.record.data.get("gallery_key")
        places = [place for place in places if place.record.data.get("gallery_key") == gallery]
    fast = [place for place in places if not is_exhaustive(place)] or places
    return max(fast, key=lambda place: (_at_k(place.point, "knn_recall"), -_p50_ms(place.point)))


def is_exhaustive(place: RunPlace) -> bool:
    """Whether the point's search looks at every vector of the gallery."""
    nprobe, settings = place.point.settings.get("nprobe"), place.point.index_settings
    nlist = settings.get("nlist", nlist_in(settings.get("factory", "")))
    return is_exact(place.record.index["family"]) or (nlist is not None and nprobe == nlist)


def _at_k(point: PointRecord, measure: str) -> float:
    """``measure`` at k, or at the largest cut-off below; −1 when it was not measured."""
    return max(((k, value) for k, value in point.curve(measure).items() if k <= point.k), default=(0, -1.0))[
        1
    ]


def _p50_ms(point: PointRecord) -> float:
    return point.metrics.get("latency_single_p50_ms", float("inf"))


# --- finding -----------------------------------------------------------------------------------------------


def _matching(root: Path, wanted: str) -> list[RunPlace]:
    """All points of the run or sweep that is called ``wanted``."""
    for path in (Path(wanted).expanduser(), root / wanted):
        if wanted != LATEST and path.exists():
            return _points_of(_records_at(path))
    everything = [found for folder in FOLDERS for found in records_below(root / folder)]
    measured = sorted(
        ((folder, record) for folder, record in everything if record.points),
        key=lambda item: item[1].started,
        reverse=True,
    )
    if not measured:
        return []
    if wanted == LATEST:
        return _gathered(measured, measured[0])
    return _by_id(measured, wanted) or _by_name(measured, wanted)


Found = tuple[Path, Record]


def _by_id(measured: Sequence[Found], wanted: str) -> list[RunPlace]:
    """The point with this MLflow id, or all points of the sweep whose parent run has it."""
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},32}}", wanted):
        return []
    points = [place for place in _points_of(measured) if (place.point.mlflow_run_id or "").startswith(wanted)]
    if len({place.point.mlflow_run_id for place in points}) > 1:
        raise UserError(f"{wanted} begins several runs' ids; give more of it")
    return points or _of_one_sweep(measured, lambda found: (_parent(found[1]) or "").startswith(wanted))


def _by_name(measured: Sequence[Found], wanted: str) -> list[RunPlace]:
    """The newest sweep of that name, else the newest run of that name."""
    sweep = _of_one_sweep(measured, lambda found: wanted in _sweep_names(found))
    return sweep or _points_of([found for found in measured if found[1].name == wanted][:1])


def _of_one_sweep(measured: Sequence[Found], fits: Callable[[Found], bool]) -> list[RunPlace]:
    newest = next((found for found in measured if fits(found)), None)
    return _gathered(measured, newest) if newest else []


def _gathered(measured: Sequence[Found], one: Found) -> list[RunPlace]:
    """The points of ``one`` and of everything in the same sweep."""
    sweep = _sweep_folder(one)
    together = [found for found in measured if _sweep_folder(found) == sweep] if sweep else [one]
    return _points_of(together)


def _sweep_folder(found: Found) -> Path | None:
    """The folder of the sweep that the run was a job of; None for a run of its own."""
    folder = found[0]
    return folder.parent if (folder.parent / "multirun.yaml").exists() else None


def _sweep_names(found: Found) -> Iterator[str]:
    """What the sweep was called in the config, and in the heading of its comparison."""
    folder, record = found
    if name := record.config.get("sweep", {}).get("name"):
        yield str(name)
    comparison = (_sweep_folder(found) or folder) / "comparison.md"
    if comparison.is_file():
        with comparison.open(encoding="utf-8", errors="replace") as file:
            yield file.readline().removeprefix("# ").strip()


def _parent(record: Record) -> str | None:
    parent = record.config.get("tracking", {}).get("parent")
    return None if parent is None else str(parent)


def _records_at(path: Path) -> list[Found]:
    if path.is_file() or (path / FILE_NAME).exists():
        record = Record.load(path)
        if not record.points:
            reason = f" ({record.error})" if record.error else ""
            raise UserError(f"the run in {path} measured nothing{reason}; name another one")
        return [(path if path.is_dir() else path.parent, record)]
    found = [(folder, record) for folder, record in records_below(path) if record.points]
    if not found:
        raise UserError(f"{path} holds no {FILE_NAME} of a run; name the output folder of a run or a sweep")
    return found


def records_below(folder: Path) -> Iterator[Found]:
    """Every record under ``folder``; what cannot be read is named on standard error and left out."""
    return read_records(_record_files(folder))


def _record_files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if FILE_NAME in files:
            folders.clear()
            yield Path(place) / FILE_NAME


def _points_of(found: Sequence[Found]) -> list[RunPlace]:
    return [RunPlace(folder, record, point) for folder, record in found for point in record.points]


# --- choosing ----------------------------------------------------------------------------------------------


def _pick(places: Sequence[RunPlace], label: str) -> RunPlace:
    """The point whose label is ``label``, else the only one whose label has all of its words."""
    words = set(label.split())
    for fits in (
        [place for place in places if place.point.label == label],
        [place for place in places if words <= set(place.point.label.split())],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UserError(f"{label} names {len(fits)} points ({_listed(fits)}); say more of the label")
    raise UserError(f"there is no point {label}; choose one of {_listed(places)}")


def _listed(places: Sequence[RunPlace], most: int = 8) -> str:
    labels = list(dict.fromkeys(place.point.label for place in places))
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


def _nothing(root: Path, wanted: str) -> str:
    if wanted == LATEST:
        return f"there are no finished runs under {root.resolve()}; run an experiment first: lookalike run"
    return (
        f"no run or sweep under {root.resolve()} is called {wanted}; give a run's id, a sweep's name, the "
        "path of an output folder, or latest"
    )
