"""What readers of a record rely on, beyond the types of its fields: a file may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lookalike.runs.files import read_as

if TYPE_CHECKING:
    from lookalike.runs.record import PointRecord, Record

STATUSES = ("finished", "failed", "interrupted")

_GROUPS = (
    "dataset",
    "model",
    "queries",
    "index",
    "search",
    "measures",
    "tracking",
    "paths",
    "store",
    "sweep",
    "report",
)
_KNOWN: dict[str, dict[str, Any]] = {
    "config": dict.fromkeys(_GROUPS, dict[str, Any]) | {"name": str | None},
    "environment": {
        "hostname": str,
        "cpu": str,
        "cores": int,
        "usable_cores": float,
        "blas": list[str],
        "faiss_compile_options": str,
        "versions": dict[str, Any],
    },
    "data": {
        "dataset": str,
        "gallery_size": int,
        "gallery_key": str,
        "gallery_ids": str,
        "dim": int,
        "unit_length": bool,
        "queries": str,
        "query_count": int,
        "query_ids": str,
        "query_files": str,
        "query_seed": int,
        "relevance": str,
        "judgements": str,
        "protocol": str,
        "protocol_description": str,
        "missing_images": int,
        "bad_images": list[dict[str, str]],
        "notices": list[str],
        "exact_answer": dict[str, Any],
        "difficulty": dict[str, Any],
    },
    "model": {"name": str, "recipe": dict[str, Any]},
    "index": {
        "family": str,
        "factory": str | None,
        "metric": str,
        "key": str,
        "path": str,
        "sha256": str,
        "index_bytes": int,
        "built_on": dict[str, Any],
        "build_threads": int | None,
        "notices": list[str],
    },
    "final_timing": {"when": str, "points": int, "hostname": str, "cpu": str, "flags": list[str]},
    "timing": {
        "drift": float | None,
        "busy_cores": float | None,
        "busy_cores_here": float | None,
        "throttled": int | None,
        "other_cpu_share": float | None,
        "encoding": dict[str, Any],
        "flags": list[str],
    },
}
"""Entries of a record's objects that others read by name, and what they are taken to be."""
_KNOWN_ENCODING: dict[str, Any] = {
    "what": str,
    "samples": int,
    "threads": int,
    "device": str,
    "measured_at": str,
    "p50_ms": float,
}
_KNOWN_SETTINGS: dict[str, dict[str, Any]] = {
    "paths": {"root": str, "store": str, "mlruns": str},
    "tracking": {"kind": str, "uri": str | None, "experiment": str, "parent": str | None},
    "sweep": {"name": str | None},
    "measures": {"confidence": float, "tie_tolerance": float, "drop_first": bool},
    "queries": {"duplicates": str},
    "report": {"columns": list[str] | None},
}
_KNOWN_DIFFICULTY: dict[str, Any] = {
    **dict.fromkeys(("neighbours", "rank", "queries", "with_equals", "with_near_equals"), int),
    **dict.fromkeys(("distance_ratio", "hubness_skewness", "hubness_skewness_by_chance"), float),
}
_DIFFICULTY_LISTS = {"lid": 3, "relative_contrast": 3, "distance_ratio_interval": 2}
"""Numbers of ``data.difficulty``, and lists of so many."""
_NEEDED = {"data": ("dataset", "gallery_size"), "model": ("name",), "index": ("family",)}
"""Those that a record with operating points cannot be without."""


def check_record(record: Record) -> None:
    """Raise ``TypeError``, ``ValueError`` or ``KeyError`` for what the fields' types do not rule out."""
    for moment in (record.started, record.finished):
        datetime.fromisoformat(moment).timestamp()
    if record.status not in STATUSES:
        raise ValueError(f"record.status is {record.status!r}")
    for name, known in _KNOWN.items():
        entries = getattr(record, name)
        for key in known.keys() & entries.keys():
            read_as(known[key], entries[key], f"record.{name}.{key}")
    for group, known in _KNOWN_SETTINGS.items():
        for key in known.keys() & record.config.get(group, {}).keys():
            read_as(known[key], record.config[group][key], f"record.config.{group}.{key}")
    _check_difficulty(record.data.get("difficulty", {}), "record.data.difficulty")
    for i, stage in enumerate(record.stages):
        read_as(str, stage["stage"], f"record.stages[{i}].stage")
    if "shards" in record.extras:
        read_as(str, record.extras["shards"]["trial_key"], "record.extras.shards.trial_key")
    for name, keys in _NEEDED.items() if record.points else ():
        if missing := set(keys) - getattr(record, name).keys():
            raise ValueError(f"record.{name}.{min(missing)} is missing")
    if exact := record.data.get("exact_answer"):
        where = "record.data.exact_answer"
        _check_cutoffs(read_as(dict[str, dict[str, float]], exact["curves"], f"{where}.curves"), where)
        _check_inside(read_as(str, exact["values"], f"{where}.values"), f"{where}.values")
    _check_encoding(record.timing.get("encoding"), "record.timing.encoding")
    for i, point in enumerate(record.points):
        _check_point(point, f"record.points[{i}]")


def _check_encoding(encoding: dict[str, Any] | None, where: str) -> None:
    if encoding is None:  # of an earlier version, or not measured
        return
    for name, kind in _KNOWN_ENCODING.items():
        read_as(kind, encoding[name], f"{where}.{name}")
    read_as(float | None, encoding.get("p95_ms"), f"{where}.p95_ms")


def _check_difficulty(known: dict[str, Any], where: str) -> None:
    for key in _KNOWN_DIFFICULTY.keys() & known.keys():
        read_as(_KNOWN_DIFFICULTY[key], known[key], f"{where}.{key}")
    for key in _DIFFICULTY_LISTS.keys() & known.keys():
        if len(read_as(list[float], known[key], f"{where}.{key}")) != _DIFFICULTY_LISTS[key]:
            raise ValueError(f"{where}.{key} has not {_DIFFICULTY_LISTS[key]} numbers")


def _check_point(point: PointRecord, where: str) -> None:
    if not point.label.strip():
        raise ValueError(f"{where}.label is empty")
    if point.k < 1:
        raise ValueError(f"{where}.settings.k is {point.k}")
    for mode, timing in (*point.latency.items(), *point.final_latency.items()):
        for name in ("threads", "samples", "queries_per_call", "distinct_queries"):
            read_as(int | None, timing.get(name), f"{where}.latency.{mode}.{name}")
        read_as(float | None, timing.get("drift"), f"{where}.latency.{mode}.drift")
        for name in ("turn_p50_ms", "turn_p95_ms", "p50_ms_interval", "p95_ms_interval", "p99_ms_interval"):
            read_as(list[float] | None, timing.get(name), f"{where}.latency.{mode}.{name}")
    measured: list[Mapping[str, Mapping[str, Any]]]
    measured = [point.curves, point.intervals, point.missed, *point.by_edit.values()]
    for curves in measured:
        _check_cutoffs(curves, where)
    if any(len(ends) != 2 for by_cutoff in point.intervals.values() for ends in by_cutoff.values()):
        raise ValueError(f"{where}: an interval has not two ends")
    for quantity, quarters in point.by_difficulty.items():
        if any(not {"low", "high", "queries", "mean"} <= quarter.keys() for quarter in quarters):
            raise ValueError(f"{where}: a quarter of {quantity} lacks a number")
    if any(len(pair) != 2 for by_cutoff in point.missed.values() for pair in by_cutoff.values()):
        raise ValueError(f"{where}: missed is not two numbers")
    _check_inside(point.neighbours or ".", f"{where}.neighbours")
    _check_inside(point.final_samples or ".", f"{where}.final_samples")
    if point.by_class is not None:
        _check_inside(point.by_class.table or ".", f"{where}.by_class.table")
        _check_inside(point.by_class.confusions_table or ".", f"{where}.by_class.confusions_table")


def _check_cutoffs(curves: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for measure, by_cutoff in curves.items():
        if not all(cutoff.isascii() and cutoff.isdigit() for cutoff in by_cutoff):
            raise ValueError(f"{where}: a cut-off of {measure} is not a number")


def _check_inside(file: str, where: str) -> None:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{where} leads out of the record's folder")
