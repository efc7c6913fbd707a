"""One self-contained page of any set of runs: it needs no network, no server and no Lookalike to be read.

The template, its style and its scripts lie in ``assets``; the measured values are JSON beside them, and the
scripts write them as text only, so that a caption or file name with markup in it stays what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from lookalike import __version__
from lookalike.progress import SILENT, Progress
from lookalike.report.html_points import advice_payload, points_payload, runs_payload
from lookalike.report.losses import losses_payload
from lookalike.report.recommend import Advice, Wish, recommend
from lookalike.report.rows import Row, rows_of
from lookalike.report.samples import Answers, answers_of
from lookalike.report.terms import scope_of, sets_of
from lookalike.runs.catalog import Run
from lookalike.runs.record import result_file

SCRIPTS = ("page.js", "values.js", "table.js", "fronts.js", "curves.js", "losses.js", "measured.js")
"""In the order in which they are put into the page: each uses only what the ones before it define."""


@dataclass(frozen=True)
class Report:
    """A report's content: what :func:`write_report` puts into the page, and a terminal can quote."""

    title: str
    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    wish: Wish
    advice: tuple[tuple[Advice, tuple[Row, ...]], ...]
    """A recommendation for each set of points measured on equal terms, and the set."""


def make_report(runs: Sequence[Run], title: str, wish: Wish | None = None) -> Report:
    """Read the raw samples of ``runs`` and choose among their points."""
    wish = wish or Wish()
    rows = rows_of([run.record for run in runs])
    folders = {run.record.identity: run.folder for run in runs}

    def answers(row: Row, measure: str, k: int) -> Answers | None:
        return answers_of(folders[row.record.identity], row.point, measure, k)

    sets = sets_of(rows, scope_of(wish.measure))
    advice = tuple((recommend(members, wish, answers), tuple(members)) for members in sets)
    return Report(title, tuple(runs), tuple(rows), wish, advice)


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
        "wish": {"measure": report.wish.measure, "k": report.wish.k},
        "advice": [advice_payload(advice, report.rows, members) for advice, members in report.advice],
        "losses": losses,
        "runs": runs_payload(report.runs),
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
