"""Every value of an operating point by one name: columns of files, and what columns of tables are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lookalike.errors import UserError
from lookalike.evaluate.measures import VS_EXACT, VS_RELEVANCE
from lookalike.report.rows import Row
from lookalike.runs import terms
from lookalike.runs.terms import Plain

AT = re.compile(r"(?P<measure>[a-z_]+?)(?:@|_at_)(?P<k>\d+)")
MEASURES = (*VS_EXACT, *VS_RELEVANCE)
SHORT = {f"p{percentile}_ms": f"latency_single_p{percentile}_ms" for percentile in (50, 95, 99)}
"""Names that people type -> those of the values."""


def facts_of(row: Row) -> dict[str, Plain]:
    """Return what a point was measured on: the data in words, the host, and every term's value."""
    data, environment = row.record.data, row.record.environment
    described = {
        "dataset": data.get("dataset"),
        "gallery": data.get("gallery_size"),
        "dim": data.get("dim"),
        "queries": data.get("queries"),
        "protocol": data.get("protocol_description"),
        "n_queries": data.get("query_count"),
        "host": environment.get("hostname"),
    }
    return described | terms.values_of(row.record, row.point)


def settings_of(row: Row) -> dict[str, Plain]:
    """Return what the index is, what shaped it, and how it was searched."""
    index = {"index": row.family, "factory": row.record.index.get("factory")}
    return index | row.point.index_settings | row.point.settings


def value_named(row: Row, name: str) -> Plain:
    """Return the value of a row that is called ``name``; None when the row has none.

    ``name``: a fact (``cpu``), a term (``batch_size``), a setting (``nprobe``), a single value
    (``index_bytes``), a measure at the search's k (``knn_recall``) or at a cut-off (``hit_rate@1``,
    ``hit_rate_at_1``), ``run``, ``repeats`` or ``hosts``. Of repeats it is the median.
    """
    name = SHORT.get(name, name)
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


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return every name that :func:`value_named` knows for one of ``rows``."""
    names = ["run", "repeats", "hosts", "started", *facts_of_none(), *SHORT]
    for row in rows:
        names += [*facts_of(row), *settings_of(row), *row.single_values]
        names += list(row.point.curves)
        names += [f"{measure}@{k}" for measure in row.point.curves for k in row.point.curve(measure)]
    return list(dict.fromkeys(names))


def facts_of_none() -> tuple[str, ...]:
    """Return the names of facts and terms, whether or not a record tells of them."""
    return ("dataset", "gallery", "dim", "queries", "protocol", "n_queries", "host", *terms.ALL_TERMS)


def check_names(names: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise UserError for the first of ``names`` that none of ``rows`` has, with those that are near."""
    known = names_of(rows)
    for name in names:
        plain = SHORT.get(name, name)
        if plain in known or any(value_named(row, name) is not None for row in rows):
            continue
        if (at := AT.fullmatch(name)) and at["measure"] in known:
            measure = at["measure"]
            cutoffs = sorted({k for row in rows for k in row.point.curve(measure)})
            raise UserError(
                f"there is no {name}: {measure} was read at {', '.join(map(str, cutoffs))}; choose one of "
                "them, or add it to measures.cutoffs and run again"
            )
        raise UserError(unknown_column(name, known))


def unknown_column(name: str, known: Sequence[str]) -> str:
    """Return what is said of a column that is called by no known name."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.5) or [each for each in known if name in each][:3]
    cure = f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(known)}"
    return f"no column is called {name}; {cure}"
