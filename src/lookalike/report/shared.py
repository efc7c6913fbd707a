"""Points that were asked different queries, compared on those that all of them were asked.

A run over all queries and one over a subset agree in all else: on the intersection they can be compared.
Measures are averaged again over it, from each query's own values that every run keeps; latencies stay as they
were measured, over each run's own queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from lookalike.evaluate.intervals import mean_interval
from lookalike.report.rows import SCOPES, Row, terms_for
from lookalike.report.samples import Shared, answers_of, questions_of
from lookalike.runs.record import PointRecord
from lookalike.runs.terms import OF_THE_QUERIES

FEWEST = 10
"""Queries that have to be shared: fewer tell nothing."""

Folders = Mapping[str, Path | None]


def shared_rows(rows: Sequence[Row], folders: Folders) -> list[Row]:
    """Return rows on the queries that all points of a set were asked, for every set with different ones.

    ``rows``: all points; ``folders``: where the raw samples of each record lie, by its identity. A set agrees
    in every term of a scope but those of the queries; its rows have the scope's measures alone, at the
    cut-offs that were kept of each query. Empty where runs kept no digests of their queries.
    """
    return [row for scope in SCOPES for row in _of_scope(rows, scope, folders)]


def _of_scope(rows: Sequence[Row], scope: str, folders: Folders) -> list[Row]:
    sets: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if "query_ids" in row.record.data and any(row.point.curve(measure) for measure in SCOPES[scope]):
            terms = (row.term(name) for name in terms_for(scope) if name not in OF_THE_QUERIES)
            sets.setdefault(tuple(terms), []).append(row)
    found: list[Row] = []
    for members in sets.values():
        if len({row.terms(scope) for row in members}) > 1:
            found += _on_the_same_queries(members, scope, folders)
    return found


def _on_the_same_queries(rows: Sequence[Row], scope: str, folders: Folders) -> list[Row]:
    questions = [questions_of(folders.get(row.record.identity), row.point, scope) for row in rows]
    known = [(row, asked) for row, asked in zip(rows, questions, strict=True) if asked is not None]
    if len({row.terms(scope) for row, _ in known}) < 2:
        return []
    common = reduce(np.intersect1d, (asked for _, asked in known))
    if len(common) < FEWEST:
        return []
    shared = Shared(scope, common)
    return [
        replace(
            row,
            point=_restricted(row, shared, folders.get(row.record.identity)),
            repeats=(),
            shared=shared,
        )
        for row, _ in known
    ]


def _restricted(row: Row, shared: Shared, folder: Path | None) -> PointRecord:
    point = row.point
    confidence = float(row.record.config.get("measures", {}).get("confidence", 0.95))
    curves: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, list[float]]] = {}
    for measure in SCOPES[shared.scope]:
        for k in point.curve(measure):
            answers = answers_of(folder, point, measure, k, shared)
            if answers is None or np.isnan(answers.values).all():
                continue
            curves.setdefault(measure, {})[str(k)] = float(np.nanmean(answers.values))
            low, high = mean_interval(answers.values, answers.sources, confidence=confidence)
            if np.isfinite([low, high]).all():
                intervals.setdefault(measure, {})[str(k)] = [float(low), float(high)]
    measured = tuple(measure for measures in SCOPES.values() for measure in measures)
    costs = {name: value for name, value in row.single_values.items() if not name.startswith(measured)}
    return replace(
        point,
        curves=curves,
        intervals=intervals,
        metrics=costs,
        missed={},
        by_edit={},
        by_class=None,
        by_difficulty={},
        missed_neighbours={},
        counts={},
    )
