"""Every value of an operating point by one name: columns of files, and what columns of tables are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from lookalike.errors import UserError
from lookalike.evaluate.measures import VS_EXACT, VS_RELEVANCE
from lookalike.index.families import families
from lookalike.report.rows import Row
from lookalike.runs.terms import ALL_TERMS, Plain, values_of
from lookalike.schemas import Index

AT = re.compile(r"(?P<measure>[a-z_]+?)(?:@|_at_)(?P<k>\d+)")
MEASURES = (*VS_EXACT, *VS_RELEVANCE)
SHORT = {f"p{percentile}_ms": f"latency_single_p{percentile}_ms" for percentile in (50, 95, 99)}
"""Names that people type -> those of the values."""
FACTS = ("dataset", "gallery", "dim", "queries", "protocol", "n_queries", "host")
"""What was searched and where, beside the terms."""
ALWAYS = ("run", "started", "repeats", "hosts", *FACTS, "index", "factory", *ALL_TERMS, *SHORT)
"""Names of what every run has, though its record may not tell."""
METRICS = (
    *(f"{stage}_seconds" for stage in ("build", "train", "add", "save", "load")),
    *("index_bytes", "serving_memory_bytes"),
    *(f"latency_{mode}_{p}_ms" for mode in ("single", "saturated") for p in ("p50", "p95", "p99")),
    *("qps_single", "qps_batch", "qps_saturated"),
    *(f"{what}_{p}_ms" for what in ("encode", "end_to_end") for p in ("p50", "p95")),
)
"""Names of single values that a run may have."""
ROBUSTNESS = re.compile(r"[a-z_]+_at_\d+_(share_[0-9.]+|p\d+)")
"""How evenly the queries are answered: ``knn_recall_at_10_share_0.9``, ``knn_recall_at_10_p05``."""


def facts_of(row: Row) -> dict[str, Plain]:
    """Return what a point was measured on: the data in words, the host, and every term's value."""
    data = row.record.data
    described: tuple[Plain, ...] = (
        data.get("dataset"),
        data.get("gallery_size"),
        data.get("dim"),
        data.get("queries"),
        data.get("protocol_description"),
        data.get("query_count"),
        row.record.environment.get("hostname"),
    )
    return dict(zip(FACTS, described, strict=True)) | values_of(row.record, row.point)


def settings_of(row: Row) -> dict[str, Plain]:
    """Return what the index is, what shaped it, and how it was searched."""
    index = {"index": row.family, "factory": row.record.index.get("factory")}
    return index | row.point.index_settings | row.point.settings


def full_name(name: str) -> str:
    """Return what the value that people call ``name`` is called in files: ``p95_ms``, ``hit_rate_at_1``."""
    if (at := AT.fullmatch(name)) and at["measure"] in MEASURES:
        return f"{at['measure']}@{at['k']}"
    return SHORT.get(name, name)


def value_named(row: Row, name: str) -> Plain:
    """Return the value of a row that is called ``name``; None when the row has none.

    ``name``: a fact (``cpu``), a term (``batch_size``), a setting (``nprobe``), a single value
    (``index_bytes``), a measure at the search's k (``knn_recall``) or at a cut-off (``hit_rate@1``,
    ``hit_rate_at_1``), ``run``, ``repeats`` or ``hosts``. Of repeats it is the median.
    """
    name = full_name(name)
    if name in MEASURES:
        return row.recall if name == "knn_recall" else row.value(name, row.point.k)
    if (at := AT.fullmatch(name)) and at["measure"] in MEASURES:
        return row.value(at["measure"], int(at["k"]))
    if (metric := row.metric(name)) is not None:
        return metric
    counted: dict[str, Plain] = {
        "run": row.record.name,
        "repeats": len(row.each),
        "hosts": len(row.hosts),
        "started": row.record.started,
    }
    return (counted | facts_of(row) | settings_of(row)).get(name)


def configured(rows: Sequence[Row]) -> list[str] | None:
    """Return the columns that the runs of ``rows`` were configured to show; None: the usual ones."""
    for row in rows:
        names = row.record.config.get("report", {}).get("columns")
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return None


def names_of_rows(rows: Sequence[Row]) -> list[str]:
    """Return every name that :func:`value_named` knows for one of ``rows``."""
    names = list(ALWAYS)
    for row in rows:
        names += [*facts_of(row), *settings_of(row), *row.by_jobs.single_values, *row.point.curves]
        names += [f"{measure}@{k}" for measure in row.point.curves for k in row.point.curve(measure)]
    return list(dict.fromkeys(names))


def check_names(names: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise UserError for the first of ``names`` that none of ``rows`` has, with those that are near.

    A name that runs may have and these do not is no fault: its column is empty.
    """
    known = names_of_rows(rows)
    for name in names:
        if (at := AT.fullmatch(name)) and at["measure"] in known:
            cutoffs = sorted({k for row in rows for k in row.point.curve(at["measure"])})
            if int(at["k"]) not in cutoffs:
                raise UserError(
                    f"there is no {name}: {at['measure']} was read at {', '.join(map(str, cutoffs))}; choose "
                    "one of them, or add it to measures.cutoffs and run again"
                )
    for fault in unknown_names(names, known):
        raise UserError(fault)


def unknown_names(names: Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """Return a sentence for each of ``names`` that no run has as a value, with those that are near.

    ``also``: names that are known besides.
    """
    from difflib import get_close_matches

    known = list(dict.fromkeys([*also, *ALWAYS, *MEASURES, *METRICS, *_settings()]))
    faults = []
    for name in names:
        at = AT.fullmatch(name)
        if name in known or (at and at["measure"] in MEASURES) or ROBUSTNESS.fullmatch(name):
            continue
        close = (
            get_close_matches(name, known, n=3, cutoff=0.5) or [each for each in known if name in each][:3]
        )
        cure = f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(known)}"
        faults.append(f"no column is called {name}; {cure}")
    return faults


def _settings() -> list[str]:
    """Names of what shapes an index or is set at query time."""
    common = {field.name for field in fields(Index)}
    shaping = [field.name for family in families().values() for field in fields(family)]
    return [*(name for name in shaping if name not in common), "k", "nprobe", "ef_search", "k_factor"]
