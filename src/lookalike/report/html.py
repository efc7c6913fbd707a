"""One self-contained page of any set of runs: it needs no network, no server and no Lookalike to be read.

The template, its style and its scripts lie in ``assets``; the measured values are JSON beside them, and the
scripts write them as text only, so that a caption or file name with markup in it stays what it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from lookalike import __version__
from lookalike.evaluate.measures import AT_R, meaning_of
from lookalike.index.families import families
from lookalike.progress import SILENT, Progress
from lookalike.report.captions import caption
from lookalike.report.classes import classes_payload
from lookalike.report.columns import differing, of_repeats
from lookalike.report.difficulty import difficulty_payload
from lookalike.report.digits import missed_text
from lookalike.report.losses import losses_payload
from lookalike.report.recommend import Advice, Requirements, recommend
from lookalike.report.rows import (
    SCOPES,
    Row,
    batch_terms,
    build_terms,
    heading,
    rows_of,
    scope_of,
    sets_of,
)
from lookalike.report.samples import (
    PROBABILITIES,
    Answers,
    answers_of,
    distribution,
    exact_answers_of,
    latencies_ms,
)
from lookalike.report.shared import shared_rows
from lookalike.report.values import MEASURES, configured, full_name, value_named
from lookalike.runs.catalog import Run
from lookalike.runs.files import result_file
from lookalike.runs.record import FINISHED

SCRIPTS = (
    "page.js",
    "values.js",
    "table.js",
    "fronts.js",
    "curves.js",
    "classes.js",
    "why.js",
    "losses.js",
    "measured.js",
)
"""In the order in which they are put into the page: each uses only what the ones before it define."""


@dataclass(frozen=True)
class Report:
    """A report's content: what :func:`write_report` puts into the page, and a terminal can quote."""

    title: str
    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    requirements: Requirements
    columns: tuple[str, ...] | None
    """Of the table, by name; None: the usual ones."""
    advice: tuple[tuple[Advice, tuple[Row, ...]], ...]
    """A recommendation for each set of points measured on equal terms, and the set."""


def make_report(
    runs: Sequence[Run],
    title: str,
    requirements: Requirements | None = None,
    columns: Sequence[str] | None = None,
) -> Report:
    """Read the raw samples of ``runs`` and choose among their points.

    ``columns``: of the table, by name; default: those that the runs were configured to show.
    """
    requirements = requirements or Requirements()
    rows = rows_of([run.record for run in runs])
    folders = {run.record.identity: run.folder for run in runs}

    def answers(row: Row, measure: str, k: int) -> Answers | None:
        return answers_of(folders[row.record.identity], row.point, measure, k, row.shared)

    def exact(row: Row, measure: str, k: int) -> Answers | None:
        return exact_answers_of(folders[row.record.identity], row.record, measure, k, row.shared)

    rows += shared_rows(rows, folders)
    sets = sets_of(rows, scope_of(requirements.measure))
    advice = tuple((recommend(members, requirements, answers, exact), tuple(members)) for members in sets)
    names = columns or configured(rows)
    return Report(title, tuple(runs), tuple(rows), requirements, tuple(names) if names else None, advice)


def write_report(
    report: Report, path: Path, *, root: Path | None = None, progress: Progress = SILENT
) -> Path:
    """Write ``report`` as one HTML file and return its path.

    ``root``: where the store lies that the images of lost queries are found with; None: they are left out.
    Raises UserError when the file cannot be written.
    """
    page = _page(report, losses_payload(report.advice, report.rows, report.runs, root, progress))
    with result_file(path) as draft:
        draft.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def _page(report: Report, losses: dict[str, Any]) -> str:
    folders = {run.record.identity: run.folder for run in report.runs}
    payload = {
        "title": report.title,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "requirements": {"measure": report.requirements.measure, "k": report.requirements.k},
        "advice": [advice_payload(advice, report.rows, members) for advice, members in report.advice],
        "difficulty": difficulty_payload(report.advice, report.rows),
        "losses": losses,
        "classes": classes_payload(report.advice, report.rows),
        "runs": runs_payload(report.runs),
        "columns": [column_payload(name, report.rows) for name in report.columns or ()],
        **points_payload(report.rows, folders, report.runs),
    }
    parts = {
        "title": escape(report.title),
        "style": _asset("report.css"),
        "plotly": _asset("plotly-basic.min.js"),
        "data": _json_in_html(payload),
        "scripts": "\n".join(map(_asset, SCRIPTS)),
    }
    fill = partial(_part, parts)
    return re.sub(r"<!--(\w+)-->", fill, _asset("page.html"))  # one pass: what is put in is not read again


def _part(parts: dict[str, str], place: re.Match[str]) -> str:
    return parts[place[1]]


def _asset(name: str) -> str:
    return (files("lookalike.report") / "assets" / name).read_text(encoding="utf-8")


def _json_in_html(payload: dict[str, Any]) -> str:
    """JSON that no text in it can end: a ``<`` would begin a tag or a comment inside the script element."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


Folders = Mapping[str, Path | None]
"""Where each record's raw samples lie, by the record's identity."""


def points_payload(rows: Sequence[Row], folders: Folders, runs: Sequence[Run]) -> dict[str, Any]:
    """Return all that the page shows of ``rows``: values, curves, distributions, what may be compared."""
    place = {run.record.identity: number for number, run in enumerate(runs)}
    numbers = {id(row): number for number, row in enumerate(rows)}
    return {
        "measures": {
            measure: {"scope": scope, "meaning": meaning_of(measure), "at_r": measure in AT_R}
            for scope, measures in SCOPES.items()
            for measure in measures
            if any(row.point.curve(measure) for row in rows)
        },
        "colours": {name: family.colour for name, family in families().items()},
        "edit_scale": EDIT_SCALE,
        "probabilities": _rounded(PROBABILITIES.tolist(), 4),
        "points": [_point(row, folders.get(row.record.identity), place[row.record.identity]) for row in rows],
        "sets": {
            scope: [
                {
                    "apart": heading(members, rows, scope),
                    "caption": caption(members),
                    "differing": [
                        {"title": column.title, "cells": [column.cell(row) for row in members]}
                        for column in (*of_repeats(members), *differing(members))
                    ],
                    "points": [numbers[id(row)] for row in members],
                }
                for members in sets_of(rows, scope)
            ]
            for scope in SCOPES
        },
    }


def column_payload(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a column that was chosen by name: what it is called in the page, and every row's value."""
    name = full_name(name)
    if name in MEASURES and rows:
        name = f"{name}@{rows[0].point.k}"
    return {"id": name, "values": [value_named(row, name) for row in rows]}


def advice_payload(advice: Advice, rows: Sequence[Row], members: Sequence[Row]) -> dict[str, Any]:
    """Return one recommendation, with the numbers of the chosen point and of those it is from."""
    numbers = {id(row): number for number, row in enumerate(rows)}
    return {
        "headline": advice.headline,
        "lines": list(advice.lines),
        "relevance_costs": [
            {
                "point": numbers[id(cost.row)],
                "label": cost.row.point.label,
                "name": cost.name,
                "recall_name": cost.recall_name,
                "recall": _significant(cost.recall, 6),
                "change": round(-cost.fall.mean, 5),
                "low": round(-cost.fall.high, 5),
                "high": round(-cost.fall.low, 5),
                "is_apart": cost.is_apart,
            }
            for cost in advice.relevance_costs
        ],
        "point": None if advice.row is None else numbers[id(advice.row)],
        "among": [numbers[id(row)] for row in members],
    }


def runs_payload(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return how each run was measured, and the failed ones with their reason."""
    return [
        {
            "name": run.record.name,
            "started": run.record.started,
            "finished": run.record.finished,
            "status": run.record.status,
            "error": run.record.error if run.record.status != FINISHED else None,
            "overrides": [str(line) for line in run.record.overrides],
            "environment": run.record.environment,
            "timing": run.record.timing,
            "stages": [
                {name: stage.get(name) for name in STAGE_COLUMNS if stage.get(name) not in (None, "")}
                for stage in run.record.stages
            ],
            "index": {name: run.record.index.get(name) for name in INDEX_LINES if name in run.record.index},
            "data": {name: run.record.data.get(name) for name in DATA_LINES if name in run.record.data},
            "bad_images": len(run.record.data.get("bad_images", ())),
            "points": [point.label for point in run.record.points],
        }
        for run in runs
    ]


STAGE_COLUMNS = ("stage", "outcome", "reason", "seconds", "built_seconds", "bytes", "peak_rss_bytes", "key")
INDEX_LINES = ("factory", "metric", "build_threads", "built_on", "sha256", "notices")
DATA_LINES = (
    "dataset",
    "gallery_size",
    "dim",
    "protocol",
    "protocol_description",
    "query_count",
    "duplicates",
    "notices",
)


NEARLY_ALL = 0.99
"""From this mean on the page also says how many were missed."""
EDIT_SCALE = 10_000
"""Values of each edit are whole ten-thousandths in the page: they are most of its numbers."""


def _point(row: Row, folder: Path | None, run: int) -> dict[str, Any]:
    point, record = row.point, row.record
    samples = latencies_ms(folder, point, row.samples)
    single = {q: point.latency.get("single", {}).get(f"p{q}_ms_interval") for q in (50, 95, 99)}
    return {
        "run": run,
        "label": point.label,
        "family": row.family,
        "model": record.model.get("name"),
        "dataset": record.data.get("dataset"),
        "gallery": record.data.get("gallery_size"),
        "k": point.k,
        "settings": {
            name: value
            for name, value in (point.index_settings | point.settings).items()
            if name != "k" and value is not None
        },
        "metrics": {name: _significant(value) for name, value in row.single_values.items()},
        "intervals": {
            f"latency_single_p{percentile}_ms": [_significant(end) for end in ends]
            for percentile, ends in single.items()
            if ends
        },
        "curves": {measure: _curve(row, measure) for measure in point.curves},
        "uncounted": {
            measure: [counted, point.counts["queries"]]
            for measure in point.curves
            if (counted := row.counted(measure)) is not None and counted < point.counts["queries"]
        },
        "edits": {
            edit: {
                measure: [
                    round(EDIT_SCALE * value) for _, value in sorted((int(k), v) for k, v in curve.items())
                ]
                for measure, curve in measures.items()
            }
            for edit, measures in point.by_edit.items()
        },
        "difficulty": {
            quantity: [{name: _significant(value) for name, value in quarter.items()} for quarter in quarters]
            for quantity, quarters in point.by_difficulty.items()
        },
        "ecdf": {
            mode: [_significant(value) for value in distribution(values)]
            for mode, values in samples.items()
            if mode == "single"
        },
        "batch": batch_terms(row),
        "build": build_terms(row),
        "in_doubt": bool(row.doubts),
        **({} if row.shared is None else {"shared": True}),
        "apart": row.apart,
        "doubts": list(point.flags),
        "calls": point.latency.get("single", {}).get("samples"),
        "queries_asked": point.latency.get("single", {}).get("distinct_queries"),
        "mlflow": point.mlflow_run_id,
    }


def _curve(row: Row, measure: str) -> dict[str, list[Any]]:
    curve = row.point.curve(measure)
    ends = [row.point.interval(measure, k) for k in curve]
    bounds: dict[str, list[Any]] = {
        "low": [None if pair is None else _rounded(pair, 5)[0] for pair in ends],
        "high": [None if pair is None else _rounded(pair, 5)[1] for pair in ends],
    }
    values: dict[str, list[Any]] = {"k": list(curve), "mean": _rounded(curve.values(), 5)}
    missed = [row.point.misses(measure, k) if NEARLY_ALL <= mean < 1 else None for k, mean in curve.items()]
    if any(missed):
        values["missed"] = [None if counts is None else missed_text(counts) for counts in missed]
    return values | bounds if any(ends) else values


def _rounded(values: Any, digits: int) -> list[float]:
    """Rounded, but none to 1 that is not 1: something was missed there."""
    rounded = [(float(value), round(float(value), digits)) for value in values]
    return [round(value, 9) if near == 1 else near for value, near in rounded]


def _significant(value: float, digits: int = 4) -> float:
    """``value`` to four figures: more would be noise, and cost the page its size."""
    if value == 0 or not math.isfinite(value):
        return 0.0
    near = float(f"{value:.{digits}g}")
    return round(value, 9) if near == 1 else near
