"""A run's caption, table, files, figure, page and MLflow say the same terms."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from lookalike.report.captions import caption
from lookalike.report.frame import frame_of
from lookalike.report.html import make_report, write_report
from lookalike.report.latex import escaped, latex_table
from lookalike.report.pareto import draw_figure
from lookalike.report.rows import rows_of
from lookalike.report.table import comparison_csv, comparison_markdown, print_table
from lookalike.runs.catalog import Run
from lookalike.runs.record import Record
from lookalike.runs.terms import ALL_TERMS, terms_of, values_of
from lookalike.tracking.content import params, tags
from tests.records import make_record


def full() -> Record:
    """A record that tells of every term."""
    record = make_record()
    record.environment |= {
        "usable_cores": 1.5,
        "faiss_compile_options": "OPTIMIZE AVX2 AVX512",
        "blas": ["openblas 0.3.15 Zen (faiss-cpu)"],
    }
    record.data |= {
        "gallery_ids": "a" * 32,
        "query_ids": "b" * 32,
        "query_files": "c" * 32,
        "query_seed": 7,
        "relevance": "d" * 32,
        "judgements": "e" * 32,
        "unit_length": True,
    }
    record.config["queries"] |= {"duplicates": "relevant"}
    record.config["measures"] = {"tie_tolerance": 1e-5, "drop_first": False, "confidence": 0.95}
    record.points[0].latency["saturated"] = {"threads": 3, "samples": 9}
    return record


def table(record: Record) -> str:
    shown = io.StringIO()
    print_table([record], Console(file=shown, width=100))
    return shown.getvalue()


def figure(record: Record) -> str:
    return draw_figure([record], "title").axes[0].get_xlabel()


VIEWS: dict[str, Callable[[Record], str]] = {
    "caption": lambda record: "\n".join(caption(rows_of([record]))),
    "table": table,
    "markdown": lambda record: comparison_markdown([record], "title"),
    "latex": lambda record: latex_table([record], "title"),
    "figure": figure,
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_every_term_in_the_same_words(view: str) -> None:
    record = full()
    shown = re.sub(r"\s+", " ", VIEWS[view](record))
    said = terms_of(record, record.points[0])
    assert len(said) == len(ALL_TERMS) - len({"query_files", "relevance", "judgements", "drop_first"})
    for name, text in said.items():
        assert (escaped(text) if view == "latex" else text) in shown, name


def test_files_and_mlflow_have_every_value() -> None:
    record = full()
    [point] = record.points
    values = values_of(record, point)
    assert set(values) == set(ALL_TERMS)
    [line] = csv.DictReader(io.StringIO(comparison_csv([record])))
    [row] = frame_of([Run(record, None)]).to_dict("records")
    logged = params(record, point) | {
        name.removeprefix("lookalike."): value for name, value in tags(record, point).items()
    }
    logged |= {"threads": logged["threads_single"], "batch_threads": logged["threads_batch"]}
    logged |= {"saturated_threads": logged["threads_saturated"]}
    for name, value in values.items():
        assert line[name] == logged[name] == str(value), name
        assert row[name] == value, name


def test_the_page_has_the_captions(tmp_path: Path) -> None:
    record = full()
    written = write_report(make_report([Run(record, None)], "title"), tmp_path / "report.html")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', written.read_text(), re.S)
    assert data is not None
    sets = json.loads(data[1])["sets"]
    assert [each["caption"] for each in (*sets["exact"], *sets["relevance"])] == [
        caption(rows_of([record]))
    ] * 2
