"""Which point beats which: the Pareto front of recall and latency, as far as both were measured.

A point beats another when it is at least as fast and finds at least as much, and their intervals of latency
or of recall do not overlap. What no point beats is on the front; points whose intervals of both overlap are
equal. A point whose timing is in doubt neither beats another nor is on the front, unless all timings are.
Where a latency or a recall has no interval (records of earlier versions), its value is taken as it is.

``assets/values.js`` has the same rule for every cost and measure that the page draws.
"""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.report.rows import Row

ON_FRONT, EQUAL, IN_DOUBT = "•", "≈", "!"
"""Marks of a row: on the front; there too, but not distinguishable from the one above; left out of it."""


def front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other beats, in the order of :func:`tiers`.

    Rows without a recall or a latency are never on it; rows whose timing is in doubt only when all are.
    """
    return [row for tier in tiers(rows) for row in tier]


def tiers(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the front in groups that share a rank, fastest first.

    The rows of a group are not distinguishable from its first, which is the fastest of them: their intervals
    of latency and of recall overlap with its. Equally fast ones stand by recall, then in the given order.
    """
    kept: list[list[Row]] = []
    faster: list[Row] = []
    for row in _by_speed(_sure([row for row in rows if row.p50_ms is not None and row.recall is not None])):
        if not any(_beats(other, row) for other in faster):
            equals = next((tier for tier in reversed(kept) if are_equal(tier[0], row)), None)
            if equals is None:
                kept.append([row])
            else:
                equals.append(row)
        faster.append(row)
    return kept


def staircase(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the front that a line joins: by value, each slower one has a higher recall."""
    best, kept = float("-inf"), []
    for row in _by_speed(front(rows)):
        if row.recall is not None and row.recall > best:
            best = row.recall
            kept.append(row)
    return kept


def by_front(rows: Sequence[Row]) -> list[Row]:
    """Return the front from fast to exact, then the others from fast to slow, those in doubt last."""
    on_front = front(rows)
    kept = {id(row) for row in on_front}
    sure = {id(row) for row in _sure(rows)}
    rest = [row for row in rows if id(row) not in kept]
    return on_front + sorted(
        rest, key=lambda row: (id(row) not in sure, row.p50_ms is None, row.p50_ms or 0, -(row.recall or 0))
    )


def are_equal(one: Row, other: Row) -> bool:
    """Return whether the two are not distinguishable: their intervals of latency and of recall overlap."""
    return _overlap(_latency(one), _latency(other)) and _overlap(_recall(one), _recall(other))


def ranks(rows: Sequence[Row]) -> dict[int, int]:
    """Return the rank of each row of the front by its ``id()``, 1 for the fastest; equal rows share one."""
    return {id(row): rank for rank, tier in enumerate(tiers(rows), start=1) for row in tier}


def marks(rows: Sequence[Row]) -> dict[int, str]:
    """Return the mark of each row by its ``id()``; '' for one that another beats."""
    of_front = {
        id(row): EQUAL if place else ON_FRONT for tier in tiers(rows) for place, row in enumerate(tier)
    }
    all_in_doubt = any(row.doubts for row in _sure(rows))
    in_doubt = {id(row) for row in rows if row.doubts and not all_in_doubt}
    return {id(row): of_front.get(id(row), IN_DOUBT if id(row) in in_doubt else "") for row in rows}


def legend(rows: Sequence[Row], first: str = f"marked {ON_FRONT}") -> list[str]:
    """Return what the marks of ``rows`` say beyond being on the front, a sentence each.

    ``first``: how the first row of each group of equals is marked.
    """
    shown = set(marks(rows).values())
    lines = []
    if EQUAL in shown:
        lines.append(
            f"{EQUAL} not distinguishable from the one above that is {first}: "
            "their intervals of latency and of recall overlap"
        )
    if IN_DOUBT in shown:
        lines.append(f"{IN_DOUBT} timing in doubt, left out of the front")
    if len(rows) > 1 and all(row.doubts for row in rows):
        lines.append("every timing here is in doubt, and so is the front")
    return lines


def _sure(rows: Sequence[Row]) -> Sequence[Row]:
    """Those whose timing is not in doubt; all when none is sure.

    Rows that were timed apart from those that had beaten them are left out first, see ``Row.apart``.
    """
    together = [row for row in rows if not row.apart] or rows
    return [row for row in together if not row.doubts] or together


def _by_speed(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.p50_ms or 0, -(row.recall or 0)))


def _beats(one: Row, other: Row) -> bool:
    """Whether ``one``, which is at least as fast, beats ``other``."""
    return (one.recall or 0) >= (other.recall or 0) and not are_equal(one, other)


def _latency(row: Row) -> tuple[float, float]:
    return _around(row.p50_ms or 0, row.p50_interval)


def _recall(row: Row) -> tuple[float, float]:
    return _around(row.recall or 0, row.interval)


def _around(value: float, interval: tuple[float, float] | None) -> tuple[float, float]:
    low, high = interval or (value, value)
    return min(low, value), max(high, value)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
