"""What each departure from one run cost: relevance of every point beside that run's, query by query.

For runs that ask the same captions or images of differently made vectors, as an ablation does. Latencies have
no place here: such runs are compared by what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import UserError
from lookalike.evaluate.statistics import PairedDifference, paired_difference
from lookalike.report.digits import share_text
from lookalike.report.rows import SCOPES, Row, rows_of
from lookalike.report.samples import answers_of
from lookalike.runs.catalog import Run

MEASURES = ("hit_rate", *(name for name in SCOPES["relevance"] if name != "hit_rate"))
"""The first of them that the reference has is tabulated."""
CUTOFFS = (1, 10)
"""Besides k; each query's own values are kept at these."""


@dataclass(frozen=True)
class Cost:
    """One operating point beside the reference."""

    row: Row
    values: dict[int, float]
    """Cut-off -> the measure's mean over all queries."""
    differences: dict[int, PairedDifference]
    """Cut-off -> how much more than the reference, paired by query; empty for the reference itself."""


@dataclass(frozen=True)
class Costs:
    """An ablation's result: the reference, and the others in the order in which they were measured."""

    measure: str
    reference: Cost
    others: tuple[Cost, ...]


def costs_of(runs: Sequence[Run], reference: str) -> Costs:
    """Compare every point of ``runs`` with the first one of the run called ``reference``.

    Raises UserError when no run is called so, when its protocol judges no relevance, or when no other point
    was asked the same queries.
    """
    folders = {run.record.identity: run.folder for run in runs}
    rows = rows_of([run.record for run in runs])
    first = next((row for row in rows if row.record.name == reference), None)
    if first is None:
        names = ", ".join(dict.fromkeys(row.record.name for row in rows))
        raise UserError(f"no run is called {reference!r}; choose one of {names}")
    measure = next((name for name in MEASURES if first.point.curve(name)), None)
    if measure is None:
        raise UserError(f"{reference!r} judges no relevance; compare runs of another query protocol")

    def differences(row: Row) -> dict[int, PairedDifference]:
        return dict(_differences(row, first, measure, folders))

    others = [
        Cost(row, row.point.curve(measure), found)
        for row in rows
        if row is not first and (found := differences(row))
    ]
    if not others:
        raise UserError(
            f"no other point was asked the queries of {reference!r}; name runs over the same queries"
        )
    return Costs(measure, Cost(first, first.point.curve(measure), {}), tuple(others))


def _differences(
    row: Row, first: Row, measure: str, folders: Mapping[str, Path | None]
) -> Iterator[tuple[int, PairedDifference]]:
    """At every cut-off for which both kept each query's value; none when the queries are others."""
    for k in sorted({*CUTOFFS, first.point.k}):
        mine = answers_of(folders.get(row.record.identity), row.point, measure, k)
        theirs = answers_of(folders.get(first.record.identity), first.point, measure, k)
        if mine and theirs and mine.pairs_with(theirs):
            yield k, paired_difference(mine.values, theirs.values, mine.sources)


def costs_markdown(costs: Costs) -> str:
    """A table: each point's measure, and in points of a hundred how far it is from the reference."""
    cutoffs = sorted({*CUTOFFS, costs.reference.row.point.k} & costs.reference.values.keys())
    heads = ["run", "operating point", "model"]
    heads += [f"{costs.measure}@{k}" for k in cutoffs] + [f"difference@{k}" for k in cutoffs]
    lines = ["| " + " | ".join(heads) + " |", "| --- | --- | --- |" + " ---: |" * (2 * len(cutoffs))]
    for cost in (costs.reference, *costs.others):
        record = cost.row.record
        cells = [record.name, cost.row.point.label, str(record.model.get("name"))]
        cells += [share_text(cost.values[k]) if k in cost.values else "" for k in cutoffs]
        cells += [_points(cost.differences.get(k)) for k in cutoffs]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    data = costs.reference.row.record.data
    lines += [
        "",
        f"{data.get('dataset')}: {data.get('gallery_size', 0):,} images · {data.get('protocol')}: "
        f"{data.get('query_count', 0):,} queries. Differences in points of a hundred from the first line, "
        "paired by query, with 95 % confidence intervals.",
    ]
    return "\n".join(lines) + "\n"


def _points(difference: PairedDifference | None) -> str:
    if difference is None:
        return ""
    low, high = difference.low * 100, difference.high * 100
    return f"{difference.mean * 100:+.1f} ({low:+.1f} to {high:+.1f})"
