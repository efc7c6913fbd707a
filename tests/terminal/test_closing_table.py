"""The table that a run ends with, of made-up records: at every width and in every mode no number is cut."""

from __future__ import annotations

import re

import pytest

from lookalike.report.table import print_table
from lookalike.runs.record import Record
from tests import records
from tests.terminal.screens import MODES, WIDTHS, Drawn

LONG = records.make_point(
    "ivf_pq_fastscan_refine",
    {"nlist": 1024, "pq_m": 128, "refine": "SQ8"},
    {"nprobe": 64, "k_factor": 16},
    p50_ms=1234.5,
)
FAILED = records.make_record([], name="third", status="failed", error="no file [red]/a/b[/red]")
SWEEP = [*records.make_sweep(), records.make_record([LONG]), FAILED]


def drawn(width: int, mode: str, some: list[Record]) -> list[str]:
    drawing = Drawn(width, mode)
    print_table(some, drawing.console)
    if mode in ("NO_COLOR", "dumb"):
        assert not re.search(r"\x1b\[[0-9;]*3\dm", drawing.written), "no colours"
    return drawing.screen()


@pytest.mark.parametrize("width", (40, 60, *WIDTHS, 200))
@pytest.mark.parametrize("mode", MODES)
def test_no_number_is_cut_and_no_word_is_broken(width: int, mode: str) -> None:
    lines = drawn(width, mode, SWEEP)
    assert max(map(len, lines)) <= max(width, 80 if mode == "dumb" else 40)
    words = set(" ".join(lines).split())
    assert "recall@100" in words
    assert words >= {"0.950", "1.000", "1,234.5"}, "the recalls and the latency of the widest row"
    assert "…" not in "".join(lines)
    assert "third failed: no file [red]/a/b[/red]" in lines or width == 40
    left_out = [line for line in lines if "in a wider terminal also:" in line]
    assert bool(left_out) == (width <= 100), "what there is no room for is named"


@pytest.mark.parametrize("mode", MODES)
def test_the_default_run_at_80_columns(mode: str) -> None:
    lines = drawn(80, mode, [records.make_record()])
    assert " ".join(lines[1].split()) == "operating point recall@100 interval hit@1 ms ms QPS MB"
    assert " ".join(lines[3].split()).endswith(" nprobe=8 0.950 .944–.956 0.592 0.100 0.140 16,000 24.1")
    assert lines[4] == "recall@100: knn_recall@100 · hit@1: hit_rate@1 (first 1 of 100)"
    assert " ".join(lines[5:7]) == (
        "in a wider terminal also: knn_recall@100 that 95 % of the queries reach, build s, index MB"
    )


def test_all_columns_go_where_nobody_has_a_width(capsys: pytest.CaptureFixture[str]) -> None:
    wide = records.make_point(p50_ms=123456.7, label="x" * 30)
    wide.metrics |= {"qps_batch": 123_456_789.0, "index_bytes": 1e13, "build_seconds": 1e6}
    wide.metrics |= {"serving_memory_bytes": 1e13}
    print_table([records.make_record([wide])])
    out = capsys.readouterr().out
    assert all(number in out for number in ("123,456.7", "123,456,789", "10,000,000.0", "1,000,000.0"))
    assert "wider terminal" not in out
