"""What is said below a table and a figure: the terms that its points share, and what to doubt in them."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.report.rows import Row
from lookalike.runs.terms import BATCH_TERMS

WARNING = "warning: "
"""How a line below a table begins that says why its timings should be doubted."""
SAID = (
    ("gallery_ids",),
    ("model", "unit_length", "metric"),
    ("query_ids", "query_seed"),
    ("duplicates",),
    ("tie_tolerance",),
)
"""Terms of recall, in the order and the parts of a caption's first line."""
TIMED = (("k",), ("threads",), tuple(BATCH_TERMS), ("cpu", "cores"), ("faiss", "faiss_options"), ("blas",))
"""Terms of time, likewise of its second."""


def caption(rows: Sequence[Row]) -> list[str]:
    """Return the terms that all ``rows`` share: of recall; then of time; then why to doubt the timings.

    What differs among them is left to a column.
    """
    said, timed = ([_part(rows, names) for names in line] for line in (SAID, TIMED))
    lines = [" · ".join(filter(None, parts)) for parts in (said, [*timed, _samples(rows), _encoding(rows)])]
    return [line for line in lines if line] + _timed_together(rows) + _warnings(rows)


def _timed_together(rows: Sequence[Row]) -> list[str]:
    """Where the final timing stands: on which machine, how many points it was of, and what of the others."""
    final = [row.record.final_timing for row in rows if row.final]
    if not final:
        return []
    facts, cpus = final[0], {row.record.environment.get("cpu") for row in rows}
    host, cpu = facts.get("hostname"), facts.get("cpu")
    where = f"{host} ({cpu})" if cpu and {cpu} != cpus else str(host)
    line = f"latency: timed together afterwards on {where}, {facts.get('points')} points in shuffled rounds"
    others = "; of the others, which are not on the front, by their jobs"
    return [line if len(final) == len(rows) else line + others]


def _part(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Terms that belong together: ``pixels (768-d, unit length, l2)``, ``batches of 1024 on 2 threads``."""
    texts = {name: text for name in names if (text := shared_text(rows, name))}
    if "model" in names:
        dims = {row.record.data.get("dim") for row in rows}
        inside = [f"{dim}-d" for dim in dims if len(dims) == 1] + [
            text for name, text in texts.items() if name != "model"
        ]
        return (
            f"{texts.get('model') or _models(rows)} ({', '.join(inside)})"
            if inside
            else texts.get("model", "")
        )
    if set(names) == set(BATCH_TERMS):
        lead = "batches " if "batch_threads" in texts and "batch_size" not in texts else ""
        return lead + " ".join(texts.values())
    if names[0] == "faiss":
        return " ".join(texts.values())
    return ", ".join(texts.values())


def _samples(rows: Sequence[Row]) -> str:
    """How often single searches were timed, and on how many queries; '' where a point does not say."""
    single = [row.point.latency.get("single", {}) for row in _timed(rows)]
    counts = [(timing.get("samples"), timing.get("distinct_queries")) for timing in single]
    if not counts or any(None in each for each in counts):
        return ""
    calls, queries = (_range(values) for values in zip(*counts, strict=True))
    return f"{calls} timed calls of {queries} different queries"


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def _encoding(rows: Sequence[Row]) -> str:
    """How long a query takes to encode: ``encoding a query 31.0 ms (p95 40.2; 64 images)``; '' if unknown."""
    found = [each.record.timing.get("encoding") for row in rows for each in row.each]
    known = {str(one): one for one in found if one}
    if len(known) != 1 or None in found:
        return ""
    [one] = known.values()
    tail = f"p95 {one['p95_ms']:.3g}; " if "p95_ms" in one else ""
    day, device = one["measured_at"][:10], "" if one["device"] == "cpu" else f" on {one['device']}"
    inside = f"{tail}{one['samples']} {one['what']}, measured {day}"
    return f"encoding a query {one['p50_ms']:.3g} ms{device} ({inside})"


def shared_text(rows: Sequence[Row], name: str) -> str:
    """Return what a term says of ``rows``; '' where it says nothing, or not the same of all."""
    texts = {row.text(name) for row in rows}
    return texts.pop() if len(texts) == 1 else ""


def _models(rows: Sequence[Row]) -> str:
    return f"{len({row.record.model.get('name') for row in rows})} models"


def _warnings(rows: Sequence[Row]) -> list[str]:
    """Why timings should be doubted, first runs, then points of other runs: of one all reasons, of several
    how many and the first of them.

    Runs whose points were timed together have the same reasons, which are all named.
    """
    final = [row.record.final_timing for row in rows if row.final]
    runs = {row.record.identity: row.record.timing for row in _timed(rows)}
    doubtful = [timing["flags"] for timing in final[:1] or list(runs.values()) if timing.get("flags")]
    said = [flag for flags in doubtful for flag in flags]
    if len(doubtful) > 1:
        said = [
            f"timings of {len(doubtful)} of {len(runs)} runs are in doubt; of the first: {doubtful[0][0]}"
        ]
    others = [row for row in _timed(rows) if row.doubts == row.point.flags]
    points = [f"{row.point.label}: {flag}" for row in others for flag in row.point.flags[:1]]
    if len(points) > 1:
        among = len(_timed(rows))
        points = [f"timings of {len(points)} of {among} points are in doubt; of the first, {points[0]}"]
    return [WARNING + flag for flag in (*said, *points)]


def _timed(rows: Sequence[Row]) -> list[Row]:
    """Each time that a row was measured, or the final timing where that stands."""
    return [each for row in rows for each in ([row] if row.final else row.each)]
