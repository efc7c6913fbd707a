"""On what terms a point was measured: all that has to be equal before two points may stand side by side.

Two sets, each a dict of named terms: what a recall depends on, and what a time depends on. Captions,
headings, tables, files, figures and MLflow take a run's terms from here, so that all of them say the same.

A term has a value, which is compared, and a text, which is shown. Digests stand for sets of ids, so that what
is equal is compared whatever the configs say; their texts describe the set in words. Records from before
there were digests are compared by their configs instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lookalike.runs.record import PointRecord, Record

Plain = str | int | float | bool | None
EXACT, RELEVANCE = "exact", "relevance"
"""What a measure is relative to: one model's own exact neighbours, or what the protocol calls relevant."""
BOTH = (EXACT, RELEVANCE)
NOT_SHAPING = ("shard_size", "fingerprint")
"""Settings of a dataset that leave its images as they are."""


@dataclass(frozen=True)
class Term:
    """One thing that has to be equal."""

    value: Callable[[Record, PointRecord], Plain]
    """What is compared; None: the record does not say."""
    text: Callable[[Record, PointRecord], str]
    """How a caption says it; '' for what is not said in words, or not known."""
    scopes: tuple[str, ...] = BOTH
    """Of a term of recall: the measures that depend on it."""


def recall_terms(scope: str = EXACT) -> dict[str, Term]:
    """Return what a measure of ``scope`` depends on."""
    return {name: term for name, term in RECALL_TERMS.items() if scope in term.scopes}


def terms_of(record: Record, point: PointRecord) -> dict[str, str]:
    """Return every term of a point that can be said in words: name -> text."""
    said = {name: term.text(record, point) for name, term in ALL_TERMS.items()}
    return {name: text for name, text in said.items() if text}


def values_of(record: Record, point: PointRecord) -> dict[str, Plain]:
    """Return the value of every term that the record tells of: name -> what is compared."""
    values = {name: term.value(record, point) for name, term in ALL_TERMS.items()}
    return {name: value for name, value in values.items() if value is not None}


def _data(name: str) -> Callable[[Record, PointRecord], Plain]:
    return lambda record, point: record.data.get(name)


def _config(group: str, name: str) -> Callable[[Record, PointRecord], Plain]:
    return lambda record, point: record.config.get(group, {}).get(name)


def _timing(mode: str, name: str) -> Callable[[Record, PointRecord], Plain]:
    return lambda record, point: point.latency.get(mode, {}).get(name)


def _words(value: Callable[[Record, PointRecord], Plain], form: str) -> Callable[[Record, PointRecord], str]:
    """The value in a sentence's words; '' without one."""

    def text(record: Record, point: PointRecord) -> str:
        known = value(record, point)
        return "" if known is None else form.format(known)

    return text


def _term(value: Callable[[Record, PointRecord], Plain], form: str, scopes: tuple[str, ...] = BOTH) -> Term:
    return Term(value, _words(value, form), scopes)


def _unsaid(value: Callable[[Record, PointRecord], Plain], *scopes: str) -> Term:
    return Term(value, lambda record, point: "", scopes)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _composed_dataset(record: Record) -> str:
    dataset: Mapping[str, Any] = record.config.get("dataset", {})
    shaping = {name: value for name, value in dataset.items() if name not in NOT_SHAPING}
    return _digest(record.data.get("dataset"), record.data.get("gallery_size"), shaping)


def _gallery_ids(record: Record, point: PointRecord) -> str:
    return str(record.data.get("gallery_ids") or _composed_dataset(record))


def _gallery_key(record: Record, point: PointRecord) -> str:
    return str(record.data.get("gallery_key") or _composed_dataset(record))


def _gallery_text(record: Record, point: PointRecord) -> str:
    noun = "vectors" if str(record.model.get("name")).endswith(" vectors") else "images"
    return f"{record.data.get('dataset')}: {record.data.get('gallery_size', 0):,} {noun}"


def _query_ids(record: Record, point: PointRecord) -> str:
    data = record.data
    described = [data.get(name) for name in ("queries", "protocol_description", "query_count")]
    return str(data.get("query_ids") or _digest(described, record.config.get("queries", {})))


def _queries_text(record: Record, point: PointRecord) -> str:
    data = record.data
    return (
        f"{data.get('protocol')}: {data.get('query_count', 0):,} queries ({data.get('protocol_description')})"
    )


def _seed(record: Record, point: PointRecord) -> Plain:
    """The seed, where it shapes queries; elsewhere it only draws them, and they are known by their ids."""
    return record.data.get("query_seed") if record.data.get("protocol") == "copies" else None


def _unit_length(record: Record, point: PointRecord) -> str:
    unit = record.data.get("unit_length")
    return "" if unit is None else "unit length" if unit else "lengths as they are"


def _judged(record: Record, point: PointRecord) -> Plain:
    """The classes of the gallery; where nothing is judged, the very vectors: nothing else can be compared."""
    data = record.data
    return data.get("relevance") or (data.get("gallery_key") if "gallery_ids" in data else None)


def _duplicates_text(record: Record, point: PointRecord) -> str:
    policy = record.config.get("queries", {}).get("duplicates")
    judged = "judgements" in record.data
    return f"duplicates {policy}" if policy and judged else ""


def _cores(record: Record, point: PointRecord) -> Plain:
    environment = record.environment
    usable = environment.get("usable_cores", environment.get("cores"))
    return None if usable is None else float(usable)


def _cores_text(record: Record, point: PointRecord) -> str:
    usable, cores = _cores(record, point), record.environment.get("cores")
    if usable is None:
        return ""
    of = "" if cores is None or usable == cores else f" of {cores}"
    return f"{usable:g}{of} core{'' if usable == 1 and not of else 's'}"


def _faiss(record: Record, point: PointRecord) -> Plain:
    version = record.environment.get("versions", {}).get("faiss")
    return None if version is None else str(version)


def _faiss_options(record: Record, point: PointRecord) -> Plain:
    options = record.environment.get("faiss_compile_options")
    return None if options is None else " ".join(str(options).removeprefix("OPTIMIZE").split())


def _blas(record: Record, point: PointRecord) -> Plain:
    libraries = record.environment.get("blas")
    return None if libraries is None else ", ".join(libraries)


def _threads(mode: str, form: str) -> Term:
    value = _timing(mode, "threads")

    def text(record: Record, point: PointRecord) -> str:
        threads = value(record, point)
        return "" if threads is None else form.format(f"{threads} thread{'' if threads == 1 else 's'}")

    return Term(value, text)


RECALL_TERMS: dict[str, Term] = {
    "gallery_key": Term(_gallery_key, _gallery_text, (EXACT,)),
    "gallery_ids": Term(_gallery_ids, _gallery_text, (RELEVANCE,)),
    "model": _term(lambda record, point: record.model.get("name"), "{}", (EXACT,)),
    "unit_length": Term(_data("unit_length"), _unit_length, (EXACT,)),
    "metric": _term(lambda record, point: record.index.get("metric"), "{}", (EXACT,)),
    "query_ids": Term(_query_ids, _queries_text),
    "query_files": _unsaid(_data("query_files"), EXACT),
    "query_seed": _term(_seed, "query seed {}"),
    "relevance": _unsaid(_judged, RELEVANCE),
    "judgements": _unsaid(_data("judgements"), RELEVANCE),
    "duplicates": Term(_config("queries", "duplicates"), _duplicates_text, (RELEVANCE,)),
    "drop_first": _unsaid(_config("measures", "drop_first"), RELEVANCE),
    "tie_tolerance": _term(_config("measures", "tie_tolerance"), "ties within {:g}", (EXACT,)),
    "k": Term(lambda record, point: point.k, lambda record, point: f"k = {point.k}"),
}
"""What the recall of a point depends on, beside the index and its settings."""
TIME_TERMS: dict[str, Term] = {
    "threads": _threads("single", "single queries on {}"),
    "cpu": _term(lambda record, point: record.environment.get("cpu"), "{}"),
    "cores": Term(_cores, _cores_text),
    "faiss": _term(_faiss, "FAISS {}"),
    "faiss_options": _term(_faiss_options, "{}"),
    "blas": _term(_blas, "{}"),
}
"""What the latency of a single query depends on. The host is none of them: equal hosts measure alike."""
BATCH_TERMS: dict[str, Term] = {
    "batch_size": _term(_timing("batch", "queries_per_call"), "batches of {}"),
    "batch_threads": _threads("batch", "on {}"),
    "saturated_threads": _threads("saturated", "saturated by {}"),
}
"""What throughput depends on besides."""
OF_THE_QUERIES = ("query_ids", "query_seed", "judgements")
"""Terms in which runs of other queries differ: on those that both asked they can be compared."""
ALL_TERMS: dict[str, Term] = RECALL_TERMS | TIME_TERMS | BATCH_TERMS
