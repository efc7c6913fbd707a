"""Which operating points may be drawn together, and why others are set apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lookalike.evaluate.measures import VS_EXACT, VS_RELEVANCE
from lookalike.report.rows import FACETS, Facet, Row

SCOPES: dict[str, tuple[str, ...]] = {"exact": tuple(VS_EXACT), "relevance": tuple(VS_RELEVANCE)}
"""What a measure is relative to: one model's own exact neighbours, or what the protocol calls relevant."""
OF_THE_MODEL = ("model", "gallery_key", "metric")
"""Terms that relevance does not depend on: it may compare models."""
NOT_SHAPING = ("shard_size", "fingerprint")
"""Settings of a dataset that leave its images as they are."""


def scope_of(measure: str) -> str:
    """``exact`` or ``relevance``."""
    return next(scope for scope, measures in SCOPES.items() if measure in measures)


def facets_of(scope: str) -> dict[str, Facet]:
    """What has to be equal for two points to stand in one front of the scope's measures."""
    if scope == "exact":
        return FACETS
    kept = {name: facet for name, facet in FACETS.items() if name not in OF_THE_MODEL}
    return kept | {"data": lambda record, point: _data(record.config)}


def sets_of(rows: Sequence[Row], scope: str) -> list[list[Row]]:
    """``rows`` in sets that agree in every facet of the scope, the largest first."""
    facets = facets_of(scope)
    sets: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        terms = tuple(facet(row.record, row.point) for facet in facets.values())
        sets.setdefault(terms, []).append(row)
    return sorted(sets.values(), key=len, reverse=True)


def set_apart_by(rows: Sequence[Row], among: Sequence[Row], scope: str) -> str:
    """What tells one set from the others: ``model pixels · k 10``; '' when there is only one."""
    parts = []
    hidden = ""
    for name, facet in facets_of(scope).items():
        values = {facet(row.record, row.point) for row in among}
        value = facet(rows[0].record, rows[0].point)
        if len(values) > 1 and name in ("gallery_key", "data"):
            hidden = f"images or queries {_short(rows[0])}"
        elif len(values) > 1:
            parts.append(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}")
    return " · ".join(parts) or hidden


def batch_terms(row: Row) -> str:
    """What throughput depends on beside the facets: ``batches of 1024 on 2 threads``."""
    batch = row.point.latency.get("batch", {})
    saturated = row.point.latency.get("saturated", {}).get("threads")
    told = f"batches of {batch.get('queries_per_call', '?')} on {batch.get('threads', '?')} threads"
    return told if saturated is None else f"{told}, saturated by {saturated}"


def build_terms(row: Row) -> str:
    """Where and how the index was built, which may have been elsewhere than it was searched."""
    record = row.record
    environment, config = record.environment, record.config.get("index", {})
    cpu = record.index.get("built_on", environment).get("cpu")
    threads = record.index.get("build_threads") or config.get("threads") or environment.get("cores")
    return f"{cpu}, {threads} threads"


def _data(config: Mapping[str, Any]) -> str:
    """The gallery and the queries as composed; both shape what is relevant."""
    dataset = {k: v for k, v in config.get("dataset", {}).items() if k not in NOT_SHAPING}
    return json.dumps([dataset, config.get("queries", {})], sort_keys=True, default=str)


def _short(row: Row) -> str:
    return f"of {row.record.data.get('dataset')} ({str(row.record.data.get('gallery_key'))[:8]})"
