"""Results by class, for the page and the terminal: where a point fails, and what it takes for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lookalike.report.digits import share_text
from lookalike.report.front import front
from lookalike.report.recommend import Advice
from lookalike.report.rows import Row
from lookalike.runs.by_class import ByClass

MOST_POINTS = 12
"""Points whose classes are in a page."""
PRINTED = 10
"""Classes and confusions in a terminal."""

Advised = Sequence[tuple[Advice, Sequence[Row]]]


def points_with_classes(advice: Advised) -> list[Row]:
    """Return the rows that have results by class, each once: recommended ones first, then set by set.

    Within a set the front comes from exact to fast, then the others.
    """
    chosen = [recommendation.row for recommendation, _ in advice if recommendation.row is not None]
    chosen += [row for _, members in advice for row in (*reversed(front(members)), *members)]
    return list({id(row): row for row in chosen if row.point.by_class is not None}.values())


def classes_payload(advice: Advised, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the classes of up to :data:`MOST_POINTS` points, and how many points are left out."""
    numbers = {id(row): number for number, row in enumerate(rows)}
    found = points_with_classes(advice)
    pages = [
        {"point": numbers[id(row)], **asdict(row.point.by_class)}
        for row in found[:MOST_POINTS]
        if row.point.by_class is not None
    ]
    return {"pages": pages, "left_out": max(0, len(found) - MOST_POINTS)}


def worst_classes(by_class: ByClass) -> tuple[list[str], list[list[str]]]:
    """Return the heads and lines of a table of the classes that fare worst."""
    heads = ["class", "queries", "images", "hit_rate@1", "first results of other classes"]
    return heads, [
        [
            line.name,
            f"{line.queries:,}",
            f"{line.gallery:,}",
            share_text(line.hit_rate_at_1),
            ", ".join(f"{other.other} ({other.queries:,})" for other in line.confused_with),
        ]
        for line in by_class.worst[:PRINTED]
    ]


def most_confused(by_class: ByClass) -> tuple[list[str], list[list[str]]]:
    """Return the heads and lines of a table of the most frequent confusions."""
    pairs = by_class.confusions[:PRINTED]
    lines = [[f"{pair.queries:,}", pair.name, pair.other] for pair in pairs]
    return ["queries", "class", "class of the first result"], lines
