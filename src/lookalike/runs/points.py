"""Operating points of finished runs: which of several is the best, and which one is meant by a few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import UserError
from lookalike.index.families import is_exact
from lookalike.index.families.factory import nlist_in
from lookalike.runs.record import PointRecord, Record


@dataclass(frozen=True)
class RunPoint:
    """One operating point of a run."""

    folder: Path
    """Of the run's record."""
    record: Record
    point: PointRecord


def best_point(points: Sequence[RunPoint]) -> RunPoint:
    """Return the point of the highest ``knn_recall`` that looks not at every vector; of equals the fastest.

    So it lies on the recall–latency front. Exhaustive points (``flat``, ``brute_force``, ``nprobe`` of all
    lists) count when there are no others. ``knn_recall`` compares indexes of one gallery of vectors only: of
    several galleries or models the one is taken that finds most of what is relevant (``relevant_recall`` at
    k), and where nothing is judged the one measured last.
    """
    galleries = {str(each.record.data.get("gallery_key")) for each in points}
    if len(galleries) > 1:
        chosen = max(points, key=lambda each: (_at_k(each.point, "relevant_recall"), each.record.started))
        gallery = chosen.record.data.get("gallery_key")
        points = [each for each in points if each.record.data.get("gallery_key") == gallery]
    fast = [each for each in points if not is_exhaustive(each)] or points
    return max(fast, key=lambda each: (_at_k(each.point, "knn_recall"), -_p50_ms(each.point)))


def is_exhaustive(run: RunPoint) -> bool:
    """Return whether the point's search looks at every vector of the gallery."""
    nprobe, settings = run.point.settings.get("nprobe"), run.point.index_settings
    nlist = settings.get("nlist", nlist_in(settings.get("factory", "")))
    return is_exact(run.record.index["family"]) or (nlist is not None and nprobe == nlist)


def _at_k(point: PointRecord, measure: str) -> float:
    """``measure`` at k, or at the largest cut-off below; −1 when it was not measured."""
    measured = ((k, value) for k, value in point.curve(measure).items() if k <= point.k)
    return max(measured, default=(0, -1.0))[1]


def _p50_ms(point: PointRecord) -> float:
    return point.metrics.get("latency_single_p50_ms", float("inf"))


def pick_point(points: Sequence[RunPoint], label: str) -> RunPoint:
    """Return the point whose label is ``label``, else the only one whose label has all of its words.

    Raises UserError when there is none, or more than one.
    """
    words = set(label.split())
    for fits in (
        [each for each in points if each.point.label == label],
        [each for each in points if words <= set(each.point.label.split())],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UserError(f"{label} names {len(fits)} points ({_listed(fits)}); say more of the label")
    raise UserError(f"there is no point {label}; choose one of {_listed(points)}")


def _listed(points: Sequence[RunPoint], most: int = 8) -> str:
    labels = list(dict.fromkeys(each.point.label for each in points))
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more
