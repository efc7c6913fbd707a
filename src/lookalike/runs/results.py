"""From results to the parts of a record: plain values, and one file of raw neighbours per point."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.sets import ImageSet
from lookalike.embed.embeddings import Embeddings
from lookalike.errors import UserError
from lookalike.evaluate.evaluation import Evaluation, PerQuery
from lookalike.evaluate.intervals import numbered
from lookalike.evaluate.robustness import robustness_metrics
from lookalike.evaluate.timing.encoding import Encoding
from lookalike.evaluate.timing.results import TimedPoint, TimedPoints, Timing
from lookalike.index.build import IndexArtifacts
from lookalike.machine.environment import describe_machine
from lookalike.queries.digests import Digests
from lookalike.queries.plan import QueryPlan
from lookalike.runs.by_class import save_by_class
from lookalike.runs.difficulty import QueriesByDifficulty
from lookalike.runs.files import writing_results
from lookalike.runs.naming import index_settings, run_name
from lookalike.runs.paths import RunPaths
from lookalike.runs.plan import PlannedPoint
from lookalike.runs.recompose import config_of
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, PointRecord, Record
from lookalike.schemas import Experiment, Index, Measures
from lookalike.store.artifact import Artifact
from lookalike.store.files import atomic_write, fsync, publish_new

COSTS = ("build_seconds", "train_seconds", "add_seconds", "save_seconds", "load_seconds")
SIZES = ("index_bytes", "serving_memory_bytes")
MERGED = ("parts", "merge_seconds")
"""Of an index whose shards were indexed apart."""
JUDGED = ("query_files", "relevance", "judgements")
"""Digests that not every run has."""
CUTOFFS_PER_QUERY = (1, 10)
"""Besides k, where each query's own value is kept: two runs can then be compared query by query."""


@contextmanager
def recorded(
    experiment: Experiment, overrides: Sequence[str], folder: Path, saved: Callable[[Record], None]
) -> Iterator[Record]:
    """Yield the record of a run that begins now; write it to ``folder`` when the run ends, however it ends.

    ``saved`` is given the record once it is written, before what ended the run is raised again. An error
    that the user can mend leaves no record when it comes before the first stage is done, nor does
    SystemExit, by which a scheduler takes the machine back to start the job again.
    """
    record = Record(
        name=experiment.name or run_name(experiment),
        started=_now(),
        finished="",
        status=FINISHED,
        config=config_of(experiment),
        overrides=list(overrides),
        environment=describe_machine(),
    )
    try:
        try:
            yield record
        except SystemExit:
            raise
        except BaseException as error:
            record.status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
            record.error = str(error) or type(error).__name__
            if record.stages or not isinstance(error, UserError):
                with suppress(UserError):  # a record that cannot be written does not hide what ended the run
                    _finish(record, folder)
            raise
        _finish(record, folder)
    finally:  # also when Ctrl-C comes just after the record was written
        if record.lies_in(folder):
            saved(record)


def _finish(record: Record, folder: Path) -> None:
    record.finished = _now()
    record.save(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def describe_data(
    experiment: Experiment,
    valid_queries: QueryPlan,
    gallery: Embeddings,
    queries: Embeddings,
    duplicates: npt.NDArray[np.int64] | None,
    *,
    digests: Digests,
) -> dict[str, Any]:
    """Return what was searched for, and in what: all counts are of that, not of what was planned.

    ``valid_queries``: those that were embedded; ``duplicates``: the planned gallery's groups of duplicates.
    """
    bad = {image.id: image for image in (*gallery.bad, *queries.bad)}
    return {
        "dataset": experiment.dataset.name,
        "gallery_size": len(gallery),
        "gallery_key": gallery.key,
        "gallery_ids": digests.gallery_ids,
        "dim": gallery.dim,
        "unit_length": gallery.unit_length,
        "queries": experiment.queries.name,
        "query_count": len(queries),
        "query_ids": digests.query_ids,
        "query_seed": experiment.queries.seed,
        "protocol": valid_queries.protocol,
        "protocol_description": valid_queries.describe(len(gallery)) + _mistakes(experiment.measures),
        "duplicates": None if duplicates is None else len(gallery) - len(np.unique(duplicates[gallery.kept])),
        "missing_images": valid_queries.gallery.missing if isinstance(valid_queries.gallery, ImageSet) else 0,
        "bad_images": [
            {"id": image.id, "location": image.location, "reason": image.reason} for image in bad.values()
        ],
        "notices": [*valid_queries.gallery.notices, *valid_queries.notices],
        **{name: value for name in JUDGED if (value := getattr(digests, name)) is not None},
    }


def _mistakes(measures: Measures) -> str:
    """What sets these measures apart from those of the same queries."""
    return ", the first result dropped" if measures.drop_first else ""


def describe_index(
    config: Index, built: IndexArtifacts, served: Artifact, load_seconds: float
) -> dict[str, Any]:
    """What was searched, and what it cost to build (when it was built), to load and to serve."""
    reference: dict[str, Any] = {}
    if built.index is not None:
        file = built.index.file("index.faiss")
        reference = {
            "key": built.index.key,
            "path": str(file),
            "sha256": built.index.manifest["files"][file.name]["sha256"],
            "built_on": dict(built.index.manifest["machine"]),
            "build_threads": built.index.facts["threads"],
            **{name: built.index.facts[name] for name in MERGED if name in built.index.facts},
        }
    return {
        "family": config.family,
        "factory": built.factory,
        "metric": config.metric,
        "index_bytes": built.index_bytes,
        "serving_memory_bytes": served.facts["serving_memory_bytes"],
        "build_seconds": built.build_seconds,
        "train_seconds": built.train_seconds,
        "add_seconds": built.add_seconds,
        "save_seconds": built.save_seconds,
        "load_seconds": load_seconds,
        "notices": list(built.notices),
        **reference,
    }


def describe_timing(timed: TimedPoints, encoding: Encoding | None = None) -> dict[str, Any]:
    """How far the clock can be trusted, and what a query took to encode."""
    return {
        **({} if encoding is None else {"encoding": encoding.as_dict()}),
        "drift": timed.drift,
        "busy_cores": timed.load.cores,
        "busy_cores_here": timed.load.cores_here,
        "throttled": timed.load.throttled,
        "other_timings": timed.other_timings,
        "flags": timed.flags,
    }


def point_record(
    planned: PlannedPoint,
    found: TimedPoint,
    evaluation: Evaluation,
    *,
    config: Index,
    index: Mapping[str, Any],
    digests: Digests,
    difficulty: QueriesByDifficulty,
    encoding: Encoding | None = None,
    folder: Path,
) -> PointRecord:
    """Return the record of one operating point, its raw neighbours and samples written to ``folder/points``.

    ``index`` is :func:`describe_index`'s; ``digests`` tell the queries from those of other runs.
    """
    file = raw_file(folder, planned.label)
    raw = _save_raw(file, found, evaluation, digests, difficulty, encoding=encoding)
    of_classes = evaluation.by_class
    metrics = {name: index[name] for name in (*COSTS, *SIZES) if index[name] is not None}
    metrics |= latency_metrics(found.timings)
    curves = {name: _by_cutoff(curve) for name, curve in evaluation.curves.items()}
    shown = sorted({1, 10, 100, found.point.k})
    for name, curve in curves.items():
        metrics |= {f"{name}_at_{k}": curve[str(k)] for k in shown if str(k) in curve}
    if encoding is not None:
        metrics |= _encoding_metrics(encoding, found)
    metrics |= robustness_metrics(evaluation.per_query, found.point.k)
    return PointRecord(
        trial_key=planned.id,
        label=planned.label,
        settings=found.point.as_dict(),
        index_settings=index_settings(config),
        metrics=metrics,
        curves=curves,
        intervals={
            name: {str(k): list(ends) for k, ends in by_cutoff.items()}
            for name, by_cutoff in evaluation.intervals.items()
        },
        missed={
            name: {str(k): list(counts) for k, counts in by_cutoff.items()}
            for name, by_cutoff in evaluation.missed.items()
        },
        by_edit={
            edit: {name: _by_cutoff(curve) for name, curve in measures.items()}
            for edit, measures in evaluation.by_edit.items()
        },
        by_class=None if of_classes is None else save_by_class(of_classes, raw, folder),
        latency={mode: timing.as_dict() for mode, timing in found.timings.items()},
        counts={
            "queries": evaluation.queries,
            "without_relevance": evaluation.without_relevance,
            "relevant_beyond_k": evaluation.relevant_beyond_k,
            "tied_at_k": evaluation.tied_at_k,
            "missing_results": evaluation.missing_results,
        },
        flags=found.flags,
        neighbours=raw.relative_to(folder).as_posix(),
        **difficulty.of_point(found.rows, evaluation.per_query["knn_recall"][found.point.k]),
    )


def _encoding_metrics(encoding: Encoding, found: TimedPoint) -> dict[str, float]:
    """What a query takes to encode and, with its search as a single query, end to end."""
    metrics = {"encode_p50_ms": encoding.p50_ms, "encode_p95_ms": encoding.p95_ms}
    if "single" in found.timings:
        p50, p95 = encoding.end_to_end(found.timings["single"].seconds)
        metrics |= {"end_to_end_p50_ms": p50, "end_to_end_p95_ms": p95}
    return {name: value for name, value in metrics.items() if value is not None}


def raw_file(folder: Path, label: str, what: str = "") -> Path:
    """Return where a run in ``folder`` keeps what it found and measured at a point."""
    return RunPaths(folder).points / f"{re.sub(r'[^A-Za-z0-9=]+', '_', label)}{what}.npz"


def samples_of(timings: Mapping[str, Timing]) -> dict[str, npt.NDArray[Any]]:
    """Return every latency sample by mode, ``seconds_MODE``, with its turn and its query."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for mode, timing in timings.items():
        arrays |= {
            f"seconds_{mode}": timing.seconds,
            f"turn_of_{mode}": timing.turn,
            f"query_of_{mode}": timing.query,
        }
    return arrays


def latency_metrics(timings: Mapping[str, Timing]) -> dict[str, float]:
    """Return ``qps_MODE`` and, but for batches, ``latency_MODE_p50_ms``, p95 and (where it is known) p99."""
    metrics: dict[str, float] = {}
    for mode, timing in timings.items():
        metrics[f"qps_{mode}"] = timing.qps
        if mode != "batch":
            metrics[f"latency_{mode}_p50_ms"] = timing.p50_ms
            metrics[f"latency_{mode}_p95_ms"] = timing.p95_ms
            if timing.p99_ms is not None:
                metrics[f"latency_{mode}_p99_ms"] = timing.p99_ms
    return metrics


def _by_cutoff(curve: dict[int, float]) -> dict[str, float]:
    return {str(k): value for k, value in curve.items()}


def _save_raw(
    path: Path,
    found: TimedPoint,
    evaluation: Evaluation,
    digests: Digests,
    difficulty: QueriesByDifficulty,
    *,
    encoding: Encoding | None,
) -> Path:
    """Rows and scores as they were returned, every latency sample with its turn and query, what each query
    scored.

    Sources are kept as numbers, equal for queries that may be alike: it is all that intervals and tests need.
    ``asked`` and ``wanted`` are kept to find the same queries in another run.
    Returns the file, which is ``path`` or, where that is another run's already, ``path`` with a number.
    """
    arrays = samples_of(found.timings)
    if encoding is not None:
        arrays["seconds_encoding"] = encoding.seconds
    k = found.point.k
    arrays |= _values_per_query(evaluation.per_query, k, difficulty.sources)
    arrays |= {"asked": digests.asked, "wanted": digests.wanted}
    arrays |= difficulty.arrays()
    arrays["knn_recall"] = evaluation.per_query["knn_recall"][k]
    with writing_results(path.parent):
        kept = save_beside(path, rows=found.rows, scores=found.scores, **arrays)
        fsync(path.parent.parent)  # the folder of points may be new
    return kept


def _values_per_query(per_query: PerQuery, k: int, sources: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """What each query scored at the cut-offs that are kept, and its source as a number."""
    values: dict[str, npt.NDArray[Any]] = {
        f"{measure}_at_{cutoff}": curve[cutoff].astype(np.float32)
        for measure, curve in per_query.items()
        for cutoff in sorted({*CUTOFFS_PER_QUERY, k} & curve.keys())
    }
    return values | {"sources": numbered(sources)[0].astype(np.int32)}


def exact_answer(
    per_query: PerQuery, digests: Digests, sources: Sequence[str], k: int, folder: Path
) -> dict[str, Any]:
    """Return what a record keeps of the exact neighbours' own relevance: means, and a file of all values.

    The file lies in ``folder/points`` and has the names of a point's: ``hit_rate_at_1``, ``sources``.
    """
    path = RunPaths(folder).exact_answer
    with writing_results(path.parent):
        values = _values_per_query(per_query, k, sources)
        kept = save_beside(path, **values, asked=digests.asked, wanted=digests.wanted)
    curves = {
        name: {str(cutoff): float(np.nanmean(values)) for cutoff, values in curve.items()}
        for name, curve in per_query.items()
    }
    return {"curves": curves, "values": kept.relative_to(folder).as_posix()}


def save_beside(path: Path, **arrays: npt.NDArray[Any]) -> Path:
    """Save arrays as ``path`` or, where that is taken, under the next free number, and return the file.

    What is there is kept: a record may refer to it.
    """
    for number in count(1):
        name = path if number == 1 else path.with_stem(f"{path.stem}.{number}")
        if name.exists():
            continue
        with suppress(FileExistsError):
            with atomic_write(name, publish_new) as draft, draft.open("xb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            return name
    raise AssertionError("numbers do not end")
