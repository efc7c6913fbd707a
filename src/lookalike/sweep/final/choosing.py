"""Which operating points of a sweep are timed together: those of the fronts, and those near them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from lookalike.report.front import front
from lookalike.report.rows import Row, comparable, rows_of
from lookalike.runs.record import Record
from lookalike.store.files import readable_bytes

NEAR, NEAR_IN_DOUBT = 1.25, 2.0
"""Jobs on other nodes and at other hours differ by so much; those that something disturbed by more."""
MOST = 32
"""Points beyond the front itself are left out from there on."""


@dataclass(frozen=True)
class Choice:
    """Points of one comparable group, and why others are not among them."""

    rows: tuple[Row, ...]
    notices: tuple[str, ...] = ()


def choices(records: Iterable[Record]) -> list[Choice]:
    """Return what is worth timing together: a choice for each comparable group, by its jobs' own timings.

    That is the front, with the points that are equal to one of it, and points near it: they take up to
    :data:`NEAR` times as long as the front for their recall, or :data:`NEAR_IN_DOUBT` times where a timing is
    in doubt. At most :data:`MOST` are chosen unless the front alone has more. A group whose chosen points are
    all of one run is left out: they were timed together already.
    """
    rows = [replace(row.by_jobs, apart=False) for row in rows_of(list(records))]
    found = [_choose(group) for group in comparable(rows)]
    return [choice for choice in found if len({row.record.identity for row in choice.rows}) > 1]


def _choose(group: Sequence[Row]) -> Choice:
    best = front(group)
    on_front = {id(row) for row in best}
    slowness = {id(row): _slowness(row, best) for row in group if id(row) not in on_front}
    near = [
        row
        for row in sorted(group, key=lambda row: slowness.get(id(row), 0))
        if slowness.get(id(row), inf) <= (NEAR_IN_DOUBT if row.doubts else NEAR)
    ]
    room = max(MOST - len(best), 0)
    notices = []
    if len(near) > room:
        left = len(near) - room
        notices.append(f"{left} points that are near the front are left out: {MOST} are timed at most")
    return Choice((*best, *near[:room]), tuple(notices))


def _slowness(row: Row, best: Sequence[Row]) -> float:
    """How many times as long as the front ``row`` takes for its recall; infinite for one without."""
    if row.p50_ms is None or row.recall is None:
        return inf
    as_good = [other.p50_ms for other in best if other.p50_ms and (other.recall or 0) >= row.recall]
    return row.p50_ms / min(as_good) if as_good else 1.0


def fitting(choice: Choice, available_bytes: int) -> Choice:
    """Return the points whose indexes fit into ``available_bytes`` when all are loaded at once.

    What takes an index is its ``serving_memory_bytes``, else its file's size. Indexes of points beside the
    front are left out first, the largest first, then the largest of the front's.
    """
    best = front(choice.rows)
    sizes = {index_of(row): _bytes(row) for row in choice.rows}
    on_front = {index_of(row) for row in best}
    kept, left_out = dict(sizes), []
    for index in sorted(sizes, key=lambda index: (index in on_front, -sizes[index])):
        if sum(kept.values()) <= available_bytes:
            break
        del kept[index]
        left_out.append(index)
    if not left_out:
        return choice
    labels = ", ".join(row.point.label for row in choice.rows if index_of(row) in left_out)
    notice = (
        f"{labels}: left out, because all indexes together take {readable_bytes(sum(sizes.values()))} and "
        f"{readable_bytes(available_bytes)} of memory are free"
    )
    rows = tuple(row for row in choice.rows if index_of(row) in kept)
    return Choice(rows, (*choice.notices, notice))


def index_of(row: Row) -> tuple[str, ...]:
    """Return what two points share that search the same index, loaded in the same way."""
    record = row.record
    about, config = record.index, record.config.get("index", {})
    built = str(about.get("key") or record.data.get("gallery_key"))
    return row.family, built, str(about.get("metric")), str(config.get("mmap"))


def _bytes(row: Row) -> int:
    about = row.record.index
    return int(about.get("serving_memory_bytes") or about.get("index_bytes") or 0)
