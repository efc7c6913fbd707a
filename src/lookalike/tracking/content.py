"""What is logged to MLflow of a record: names, params, tags, metrics and notes, as plain values.

Names are short and flat, because they become the columns of MLflow's table. Single values stand for
K = 1, 10 and 100 only, those of measures of rank for K = 10, so that the chart page stays readable; every
cut-off is a step of the measure's curve (``knn_recall_at_k``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from colorsys import hls_to_rgb
from datetime import datetime
from pathlib import Path
from typing import Any

from lookalike.index.families import families, is_exact
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.terms import terms_of, values_of
from lookalike.schemas import Paths
from lookalike.store.layout import Layout

SINGLE_CUTOFFS = (1, 10, 100)
OF_RANK = {"mrr": (10,), "precision": (10,), "ndcg": (10,), "r_precision": (), "map_at_r": ()}
"""Cut-offs whose single values are logged of these measures: of those at R, the curve's only step is it."""
RUN_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}

FINAL_TIMING = "lookalike.final_timing"
"""Tag of a run, and of a sweep's parent: which final timing it shows. Set last of all."""

MAX_PARAM = 6000
MAX_TAG = 8000
MAX_DIGEST = 36

_KEY = re.compile(r"[0-9a-f]{16,64}")
_AT_CUTOFF = re.compile(r"(\w+?)_at_(\d+)$")
_NOT_LOGGED = re.compile(r"relevant_recall_at_\d+_(share|p)")
"""Where one image is relevant, these say no more than the hit rate; the record and the report have them."""
IN_WORDS = (
    "gallery_key",
    "gallery_ids",
    "query_ids",
    "threads",
    "batch_threads",
    "saturated_threads",
)
"""Terms that the params have under other names, or that tags hold as digests."""
_NAMING_GROUPS = ("dataset", "model", "queries")


def milliseconds(moment: str) -> int:
    """An ISO 8601 moment as MLflow counts time."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def run_name(record: Record, point: PointRecord) -> str:
    """The point's label, after the dataset, model or query protocol when they were chosen by hand.

    A sweep over models has the same index settings under each: the names must tell them apart.
    """
    chosen = {override.lstrip("+").split("=", 1)[0].split(".", 1)[0] for override in record.overrides}
    shown = {
        "dataset": str(record.data.get("dataset", "")),
        "model": str(record.model.get("name", "")),
        "queries": str(record.data.get("queries", "")),
    }
    parts = [shown[group] for group in _NAMING_GROUPS if group in chosen and shown[group]]
    if any(override.lstrip("+").startswith("search.k=") for override in record.overrides):
        parts.append(f"k={point.k}")
    if "limit" in " ".join(record.overrides) and "gallery_size" in record.data:
        parts.append(f"n={record.data['gallery_size']}")
    return " ".join([*parts, point.label])


def colour(record: Record, point: PointRecord) -> str:
    """A colour for MLflow's charts: a hue for the family and what it was built with, a shade for the setting.

    MLflow's own colours are drawn by lot, and two of six runs are often alike.
    """
    family = str(record.index.get("family"))
    hue = _hue(family) + 24 * (_lot(repr(sorted(point.index_settings.items()))) - 0.5)
    among = [other for other in record.points if other.index_settings == point.index_settings]
    place = (among.index(point) + 0.5) / len(among)
    rgb = hls_to_rgb((hue % 360) / 360, 0.68 - 0.4 * place, 0.12 if is_exact(family) else 0.75)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)


def _hue(family: str) -> float:
    """In degrees; of a family that has none of its own, always the same."""
    known = families().get(family)
    return _lot(family) * 360 if known is None or known.hue is None else known.hue


def _lot(text: str) -> float:
    """A number in [0, 1) that is always the same for ``text``."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 16**8


def params(record: Record, point: PointRecord) -> dict[str, str]:
    """What was chosen, flat: data, model, protocol, index and search settings, threads; and on which terms it
    was measured, see :mod:`lookalike.runs.terms`.
    """
    config, data = record.config, record.data
    chosen: dict[str, Any] = {
        "dataset": data.get("dataset"),
        "model": record.model.get("name"),
        "queries": data.get("queries"),
        "index": record.index.get("family"),
        "metric": record.index.get("metric"),
        **point.index_settings,
        **point.settings,
        "n_gallery": data.get("gallery_size"),
        "n_queries": data.get("query_count"),
        "dim": data.get("dim"),
        "dtype": config.get("model", {}).get("dtype"),
        "factory": record.index.get("factory"),
        "batch_size": point.latency.get("batch", {}).get("queries_per_call"),
        **{f"threads_{mode}": timing.get("threads") for mode, timing in point.latency.items()},
    }
    said = terms_of(record, point)
    values = {name: value for name, value in values_of(record, point).items() if name in said}
    chosen |= {name: value for name, value in values.items() if name not in (*IN_WORDS, *chosen)}
    return {name: _short(value, MAX_PARAM) for name, value in chosen.items() if value is not None}


def tags(record: Record, point: PointRecord | None) -> dict[str, str]:
    """Where a run comes from: sweep, trial, stages with their keys, commit, versions, machine."""
    environment = record.environment
    found: dict[str, Any] = {
        "lookalike.record": record.identity,
        "lookalike.sweep": record.config.get("sweep", {}).get("name"),
        "lookalike.trial_key": point.trial_key if point else None,
        "lookalike.protocol": record.data.get("protocol_description"),
        "lookalike.cpu": environment.get("cpu"),
        "lookalike.faiss_version": environment.get("versions", {}).get("faiss"),
        "lookalike.flags": ", ".join(_doubts(record, point)) or None,
        "lookalike.error": record.error,
        "mlflow.source.git.commit": environment.get("git_commit"),
        "mlflow.source.name": "lookalike",
        "mlflow.source.type": "LOCAL",
        **_unsaid_terms(record, point),
        **{f"lookalike.index.{name}": value for name, value in index_reference(record).items()},
    }
    for stage in record.stages:
        found[f"lookalike.stage.{stage['stage']}"] = stage.get("outcome")
        found[f"lookalike.stage.{stage['stage']}.key"] = stage.get("key")
    if record.points or record.error:
        found["mlflow.note.content"] = note(record, point)
    if point is not None:
        found["mlflow.runColor"] = colour(record, point)
    return {name: _short(value, MAX_TAG) for name, value in found.items() if value is not None}


def _unsaid_terms(record: Record, point: PointRecord | None) -> dict[str, Any]:
    """Digests of ids, and other terms that are compared and not read."""
    if point is None:
        return {}
    said = terms_of(record, point).keys() - {"gallery_key", "gallery_ids", "query_ids"}
    values = values_of(record, point)
    return {f"lookalike.{name}": value for name, value in values.items() if name not in said}


def index_reference(record: Record) -> dict[str, Any]:
    """What tells where the index is (``uri``) and that it is the one (``sha256``, ``bytes``, ``factory``).

    The URI is relative to the home where the store lies in it, so that it is true of a copy as well.
    """
    names = {"sha256": "sha256", "index_bytes": "bytes", "factory": "factory"}
    reference = {"uri": index_path(record)} | {name: record.index.get(key) for key, name in names.items()}
    return {name: value for name, value in reference.items() if value is not None}


def index_path(record: Record) -> str | None:
    """Path of the index file in the store, below the home; None when the run searched without a file."""
    key = str(record.index.get("key"))
    if not _KEY.fullmatch(key):
        return None
    store = Layout(Path(str(record.config.get("paths", {}).get("store", Paths.store))))
    return (store.artifact("index", key) / "index.faiss").as_posix()


def final_timing(records: Iterable[Record]) -> str | None:
    """When the last final timing of ``records`` began, ISO 8601; None without one."""
    moments = (record.final_timing.get("when") for record in records)
    return max((str(moment) for moment in moments if moment), default=None)


def single_metrics(point: PointRecord) -> dict[str, float]:
    """The point's single values: costs and latencies, and measures at K = 1, 10 and 100 (of rank: 10)."""
    kept = {}
    for name, value in point.metrics.items():
        at = _AT_CUTOFF.fullmatch(name)
        if not _NOT_LOGGED.match(name) and (at is None or int(at[2]) in OF_RANK.get(at[1], SINGLE_CUTOFFS)):
            kept[name] = float(value)
    for measure in point.curves:
        by_cutoff = point.curve(measure)
        cutoffs = OF_RANK.get(measure, SINGLE_CUTOFFS)
        kept |= {f"{measure}_at_{k}": by_cutoff[k] for k in cutoffs if k in by_cutoff}
    return kept


def curve_metrics(point: PointRecord) -> list[tuple[str, int, float]]:
    """(``knn_recall_at_k``, K, value) for every measure and cut-off; K becomes the step of the chart."""
    return [(f"{m}_at_k", k, value) for m in point.curves for k, value in point.curve(m).items()]


def note(record: Record, point: PointRecord | None) -> str:
    """The operating point in words (Markdown), for the description on its page."""
    data = record.data
    paragraphs = []
    if record.error:
        paragraphs.append(f"**{record.status}**: {record.error}")
    if point is not None:
        paragraphs += [
            f"**{point.label}** ({record.index.get('factory') or 'no factory string'})",
            _found(point),
        ]
    if data:
        model, machine = record.model.get("name"), record.environment
        queries = f"{data.get('query_count', 0):,} ({data.get('protocol_description')})"
        paragraphs.append(
            f"Gallery: {data.get('dataset')}, {data.get('gallery_size', 0):,} images as {data.get('dim')}-d "
            f"vectors of {model}. Queries: {queries}. "
            f"Machine: {machine.get('cpu')}, {machine.get('cores')} cores."
        )
    paragraphs += [f"Warning: {flag}." for flag in _doubts(record, point)]
    return "\n\n".join(paragraphs)


def _doubts(record: Record, point: PointRecord | None) -> list[str]:
    """Why timings should be doubted: those of the whole run, then the point's."""
    return [*map(str, record.timing.get("flags", ())), *(point.flags if point else ())]


def _found(point: PointRecord) -> str:
    """One paragraph: how much of the exact answer, how fast, at which cost."""
    sentences = []
    exact = point.curve("knn_recall")
    if exact:
        cutoff = max(k for k in exact if k <= point.k)
        of = "" if cutoff == point.k else f" (first {cutoff} of {point.k})"
        sentences.append(f"Finds {exact[cutoff]:.1%} of the exact {cutoff} nearest{of}")
    hits = point.curve("hit_rate")
    if hits:
        first = min(hits)
        sentences.append(f"a relevant image among the first {first} for {hits[first]:.1%} of the queries")
    metrics = point.metrics
    if "latency_single_p50_ms" in metrics:
        sentences.append(
            f"one query takes {metrics['latency_single_p50_ms']:.3g} ms (p50), "
            f"{metrics.get('latency_single_p95_ms', float('nan')):.3g} ms (p95)"
        )
    if "end_to_end_p50_ms" in metrics:
        sentences.append(f"with its encoding {metrics['end_to_end_p50_ms']:.3g} ms (p50)")
    if "index_bytes" in metrics:
        sentences.append(f"the index file has {metrics['index_bytes'] / 1e6:,.1f} MB")
    return "; ".join(sentences) + "." if sentences else "Nothing was measured."


def dataset_input(record: Record) -> dict[str, str]:
    """Name, digest (≤ 36 characters), source and profile of the gallery as an MLflow dataset."""
    data = record.data
    key = str(data.get("gallery_key") or data.get("dataset"))
    digest = key if len(key) <= MAX_DIGEST else hashlib.sha256(key.encode()).hexdigest()[:32]
    name = str(data.get("dataset"))
    return {
        "name": f"{name} ({data.get('gallery_size', 0):,} images)",
        "digest": digest,
        "source_type": "lookalike",
        "source": json.dumps({"dataset": record.config.get("dataset", {"name": name})}, default=str),
        "profile": json.dumps({k: v for k, v in data.items() if k != "bad_images"}, default=str),
    }


def edits_table(point: PointRecord) -> list[Mapping[str, Any]]:
    """One row an edit, measure and cut-off: an artifact, so that the chart page stays readable."""
    return [
        {"edit": edit, "measure": measure, "k": int(k), "value": value}
        for edit, measures in point.by_edit.items()
        for measure, by_k in measures.items()
        for k, value in by_k.items()
    ]


def _short(value: Any, limit: int) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
