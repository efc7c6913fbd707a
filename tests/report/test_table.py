"""The closing table, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from lookalike.report.table import comparison_csv, comparison_markdown, print_table
from lookalike.runs.record import Record
from tests import records


def printed(some: list[Record], capsys: pytest.CaptureFixture[str]) -> str:
    print_table(some)
    return capsys.readouterr().out


def test_it_is_plain_text_of_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    long = records.make_point(
        "ivf_pq_fastscan_refine",
        {"nlist": 1024, "pq_m": 128, "refine": "SQ8"},
        {"nprobe": 64, "k_factor": 16},
        p50_ms=1234.5,
    )
    out = printed([*records.make_sweep(), records.make_record([long])], capsys)
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert "k_factor=16" in out and "1,234.5" in out


def test_the_front_comes_first_from_fast_to_exact(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(records.make_sweep(), capsys).splitlines()
    marked = [line.split()[1] for line in lines if line.startswith("•")]
    assert marked == ["ivf_flat", "hnsw", "ivf_flat", "ivf_flat", "flat"]
    (beaten,) = [n for n, line in enumerate(lines) if "ivf_pq" in line]
    assert beaten > max(n for n, line in enumerate(lines) if line.startswith("•"))


def test_numbers_stand_where_they_belong(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(
        [records.make_record([records.make_point("flat", {}, {}, recall=0.95, p50_ms=0.1)])], capsys
    )
    (line,) = [line for line in out.splitlines() if line.split()[:1] == ["flat"]]
    assert line.split()[1:] == [
        "0.950",
        ".944–.956",
        "0.665",
        "0.592",
        "0.100",
        "0.140",
        "16,000",
        "0.5",
        "20.9",
        "24.1",
    ]


def test_a_lower_cutoff_says_so_and_the_measure_is_named() -> None:
    record = records.make_record()
    text = comparison_markdown([record], "title")
    assert "knn_recall@100 |" in text and "hit_rate@1 (first 1 of 100)" in text
    del record.points[0].curves["knn_recall"]["100"]
    assert "knn_recall@90 (first 90 of 100)" in comparison_markdown([record], "title")
    assert "| recall" not in text


def test_a_measure_that_does_not_apply_has_no_column() -> None:
    point = records.make_point()
    del point.curves["hit_rate"], point.curves["relevant_recall"], point.metrics["serving_memory_bytes"]
    text = comparison_markdown([records.make_record([point])], "title")
    assert "hit_rate" not in text and "serving" not in text and "p95 ms" in text


def test_colours_only_on_a_terminal() -> None:
    shown = io.StringIO()
    print_table(records.make_sweep(), Console(file=shown, force_terminal=True, width=100))
    assert "\x1b[" in shown.getvalue()


def test_failed_runs_are_listed_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    failed = records.make_record(
        [], name="the third run", status="failed", error="nlist [red]is[/red] too large"
    )
    out = printed([records.make_record(), failed], capsys)
    assert "the third run failed: nlist [red]is[/red] too large" in out
    assert "- the third run failed: nlist" in comparison_markdown([failed], "title")


def test_groups_on_other_terms_have_tables_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    other = records.make_record()
    other.environment = {**other.environment, "cpu": "Another CPU"}
    out = printed([records.make_record(), other], capsys)
    assert out.count("operating point") == 2
    assert "Another CPU" in out.splitlines()


def test_nothing_at_all_is_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([], capsys).strip() == ""
    assert comparison_csv([]) == "label,status\n"


def test_csv_holds_every_point_with_every_number() -> None:
    sweep = [*records.make_sweep(), records.make_record([], name="lost", status="failed", error="a, b\nc")]
    lines = list(csv.DictReader(io.StringIO(comparison_csv(sweep))))
    assert [line["label"] for line in lines] == [p.label for r in sweep for p in r.points] + ["lost"]
    flat = next(line for line in lines if line["label"] == "flat")
    assert float(flat["latency_single_p50_ms"]) == 0.6 and flat["on_front"] == "True"
    assert flat["nprobe"] == "" and flat["threads"] == "1" and flat["recall_cutoff"] == "100"
    assert lines[-1]["error"] == "a, b\nc"


def test_markdown_cannot_be_broken_by_what_it_shows() -> None:
    point = records.make_point(label="a|b <script>")
    text = comparison_markdown([records.make_record([point])], "two\nlines & <b>")
    assert "| a\\|b &lt;script> |" in text
    assert text.startswith("# two lines &amp; &lt;b>\n")


def repeats() -> list[Record]:
    """A trial on three nodes, and another point on one of them."""
    made = []
    for number, p50_ms in enumerate((0.3, 0.1, 0.2)):
        points = [records.make_point(p50_ms=p50_ms)]
        points += [records.make_point(search_settings={"nprobe": 64}, p50_ms=0.9)] if number == 0 else []
        record = records.make_record(points, started=f"2026-11-22T12:00:{number:02}+00:00")
        record.environment = {**record.environment, "hostname": f"node{number}"}
        made.append(record)
    return made


def test_repeats_are_one_row_with_their_range_and_all_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(repeats(), capsys)
    [line] = [line for line in out.splitlines() if "3 hosts" in line]
    assert " 0.200 " in line and " 3 " in line and "0.100–0.300" in line
    assert "| 3 | 0.100–0.300 | 3 hosts |" in comparison_markdown(repeats(), "title")
    lines = [each for each in csv.DictReader(io.StringIO(comparison_csv(repeats()))) if each["nprobe"] == "8"]
    assert [float(each["latency_single_p50_ms"]) for each in lines] == [0.3, 0.1, 0.2]
    assert {each["repeats"] for each in lines} == {"3"} and [each["host"] for each in lines] == [
        "node0",
        "node1",
        "node2",
    ]


def test_batches_of_other_sizes_can_be_told_apart_at_80_columns() -> None:
    made = []
    for size in (8, 64, 512, 4096):
        point = records.make_point(trial_key=f"batches of {size}")
        point.latency["batch"] = {"threads": 2, "samples": 40, "queries_per_call": size}
        made.append(records.make_record([point], started=f"2026-11-22T12:{size % 60:02}:00+00:00"))
    shown = io.StringIO()
    print_table(made, Console(file=shown, force_terminal=True, width=80))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert {size for size in ("8", "64", "512", "4,096") for line in lines if f" {size} " in f"{line} "} == {
        "8",
        "64",
        "512",
        "4,096",
    }


def test_what_is_missing_near_one_is_counted_and_never_rounded_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    near = records.make_point(label="near", recall=0.9997, missed={"knn_recall": {"100": [3, 10_000]}})
    near.intervals["knn_recall"]["100"] = [0.99912, 0.99994]
    whole = records.make_point(
        "flat", {}, {}, 1.0, label="whole", missed={"knn_recall": {"100": [0, 10_000]}}
    )
    whole.intervals["knn_recall"]["100"] = [0.99963, 1.0]
    out = printed([records.make_record([near, whole])], capsys)
    assert "of 10,000" in out
    lines = {
        name: line.split(name)[1].split()
        for line in out.splitlines()
        for name in ("near", "whole")
        if f" {name} " in line
    }
    assert lines["near"][:3] == ["0.9997", ".999–.9999", "3"]
    assert lines["whole"][:4] == ["1.000", "≥", ".9996", "0"]
    markdown = comparison_markdown([records.make_record([near])], "near one")
    assert "| missed of 10,000 |" in markdown
    assert "| 0.9997 | .999–.9999 | 3 |" in markdown


def test_far_from_one_nothing_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    point = records.make_point(recall=0.8, missed={"knn_recall": {"100": [2_000, 10_000]}})
    assert "missed" not in printed([records.make_record([point])], capsys)


def encoded(p50_ms: float = 31.04, **changes: object) -> dict[str, object]:
    """An entry of ``record.timing``."""
    return {
        "what": "images",
        "samples": 64,
        "threads": 1,
        "device": "cpu",
        "measured_at": "2026-11-30T10:00:00+00:00",
        "p50_ms": p50_ms,
        "p95_ms": 40.2,
    } | changes


def test_encoding_stands_beside_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = records.make_sweep()
    for record in sweep:
        record.timing["encoding"] = encoded()
        for point in record.points:
            point.metrics |= {"encode_p50_ms": 31.04, "end_to_end_p50_ms": 31.5, "end_to_end_p95_ms": 41.25}
    text = comparison_markdown(sweep, "title")
    assert "| end-to-end p50 ms | end-to-end p95 ms |" in text
    assert "| 31.5 | 41.2 |" in text
    assert "encoding a query 31 ms (p95 40.2; 64 images, measured 2026-11-30)" in text
    assert "encode_p50_ms" in comparison_csv(sweep).splitlines()[0]
    sweep[0].timing["encoding"] = encoded(33.0)
    assert "encoding a query" not in comparison_markdown(sweep, "title"), "not the same of all"
    on_gpu = records.make_record()
    on_gpu.timing["encoding"] = encoded(device="cuda:0", what="captions", p95_ms=50)
    shown = comparison_markdown([on_gpu], "title")
    assert "encoding a query 31 ms on cuda:0 (p95 50; 64 captions, measured 2026-11-30)" in shown
    assert "encoding" not in printed([records.make_record()], capsys), "older records say nothing"
