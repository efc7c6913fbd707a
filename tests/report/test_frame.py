"""Operating points for other programs: a DataFrame, LaTeX, and the files of ``lookalike report``."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import lookalike
from lookalike.cli import main
from lookalike.config.composing import compose
from lookalike.config.planning import find_faults
from lookalike.report.latex import escaped, latex_table
from lookalike.report.table import comparison_markdown, print_table
from tests.records import make_record, make_sweep
from tests.report.raw import save_sweep

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of six points below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    save_sweep(tmp_path / "multirun/2026-11-21/10-00-00.1", make_sweep())
    return tmp_path


def test_runs_are_a_data_frame(root: Path) -> None:
    frame = lookalike.load_runs()
    assert len(frame) == 6
    row = frame.set_index("label").loc["ivf_flat nlist=64 nprobe=8"]
    assert (row["nlist"], row["nprobe"], row["model"]) == (64, 8, "efficientnet_lite0")
    point = next(p for r in make_sweep() for p in r.points if p.label == "ivf_flat nlist=64 nprobe=8")
    assert row["knn_recall_at_20"] == point.curve("knn_recall")[20]
    assert (row["knn_recall_at_20_low"], row["knn_recall_at_20_high"]) == point.interval("knn_recall", 20)
    assert row["latency_single_p50_ms"] == point.metrics["latency_single_p50_ms"]
    assert Path(row["folder"]).name == "job1"
    assert pd.isna(frame.set_index("label").loc["flat", "nprobe"])
    assert lookalike.load_runs("10-00-00.1", root=root).equals(frame)


def test_a_run_without_points_is_a_row_with_its_reason(root: Path) -> None:
    folder = root / "multirun/2026-11-22/10-00-00.1"
    save_sweep(folder, [*make_sweep(), make_record([], status="failed", error="no space", name="bad")])
    failed = lookalike.load_runs().set_index("run").loc["bad"]
    assert (failed["status"], failed["error"]) == ("failed", "no space")


def test_latex_is_a_booktabs_table_with_intervals() -> None:
    text = latex_table(make_sweep(), "50 % of A_B & C\\input{x}")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert r"\caption{50 \% of A\_B \& C\textbackslash{}input\{x\}." in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 7 and len({line.count(" & ") for line in rows}) == 1
    assert r"\textbf{ivf\_flat nlist=64 nprobe=1}" in text and r"ivf\_pq nlist=64" in text
    assert rows[1].split(" & ")[1:3] == ["0.752", ".746--.758"]


@pytest.mark.parametrize("text", ["#1 ~ ^ <b> | {}", "a\nb"])
def test_latex_texts_have_no_special_character_left(text: str) -> None:
    for command in (
        r"\textasciitilde{}",
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
        r"\textbar{}",
    ):
        text = text.replace(command, "")
    left = escaped(text)
    for command in (
        r"\textasciitilde{}",
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
        r"\textbar{}",
        r"\#",
        r"\{",
        r"\}",
    ):
        left = left.replace(command, "")
    assert not set("#~^<>|{}\n\\") & set(left)


def test_the_command_writes_all_it_is_asked_for(root: Path, capsys: Capture) -> None:
    assert (
        main(["report", "--out", "r/mine.html", "--png", "--csv", "--parquet", "--latex", "--title", "T"])
        == 0
    )
    written = sorted(path.name for path in (root / "r").iterdir())
    assert written == ["mine.csv", "mine.html", "mine.parquet", "mine.png", "mine.tex"]
    assert "<h1>T</h1>" in (root / "r/mine.html").read_text(encoding="utf-8")
    assert len(pd.read_csv(root / "r/mine.csv")) == len(pd.read_parquet(root / "r/mine.parquet")) == 6
    with Image.open(root / "r/mine.png") as figure:
        assert figure.width > 800
    told = capsys.readouterr().out
    assert told.startswith("For knn_recall@100 ≥ 0.95: ") and "written: " in told


def test_by_default_the_page_lies_with_the_sweep(root: Path, capsys: Capture) -> None:
    assert main(["report", "--min-recall", "0.6", "--max-p95-ms", "0.2"]) == 0
    assert (root / "multirun/2026-11-21/10-00-00.1/report.html").exists()
    assert "For knn_recall@100 ≥ 0.6 and p95 ≤ 0.2 ms: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "is called nowhere; give"),
        (["--measure", "recall@10"], "choose one of knn_recall"),
        (["--measure", "knn_recall@0"], "choose one of knn_recall"),
        (["--min-recall", "95"], "give one between 0 and 1"),
        (["--uri", "http://127.0.0.1:1"], "--uri goes with"),
        (["--filter", "params.k = '1'", "multirun"], "not both"),
        (["--experiment", "x"], "mlflow.db"),
        (["--classes"], "they come with queries=labels"),
    ],
)
def test_what_the_user_can_mend(root: Path, arguments: list[str], told: str, capsys: Capture) -> None:
    assert main(["report", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in lines) and told in "\n".join(lines)


COLUMNS = "knn_recall@10,p95_ms,index_bytes,nprobe,host,repeats"


def test_columns_are_chosen_for_the_table_and_every_file(root: Path, capsys: Capture) -> None:
    arguments = ["report", "--columns", COLUMNS, "--csv", "--parquet", "--latex", "--out", "r.html"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    [line] = [line for line in told.splitlines() if line.startswith("• ivf_flat nlist=64 nprobe=8")]
    assert line.split()[-6:] == ["0.989", "0.121", "20.9", "8", "workstation", "1"]
    frame = pd.read_csv(root / "r.csv")
    assert list(frame) == ["run", "label", *COLUMNS.split(",")] and len(frame) == 6
    assert list(pd.read_parquet(root / "r.parquet")) == list(frame)
    row = frame.set_index("label").loc["ivf_flat nlist=64 nprobe=8"]
    point = next(p for r in make_sweep() for p in r.points if p.label == "ivf_flat nlist=64 nprobe=8")
    assert row["knn_recall@10"] == point.curve("knn_recall")[10]
    assert row["p95_ms"] == point.metrics["latency_single_p95_ms"] and row["index_bytes"] == 20_861_211
    assert r"knn\_recall@10 (first 10 of 100) & single p95 ms & index MB & nprobe & host" in (
        (root / "r.tex").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("knn_recal", "no column is called knn_recal; did you mean knn_recall"),
        ("p50_ms,p95", "no column is called p95; did you mean p95_ms"),
        ("hit_rate@7", "there is no hit_rate@7: hit_rate was read at 1, 10, 20"),
    ],
)
def test_an_unknown_column_is_told_with_those_that_are_near(
    root: Path, columns: str, told: str, capsys: Capture
) -> None:
    assert main(["report", "--columns", columns]) == 2
    assert told in " ".join(capsys.readouterr().err.replace("error: ", "").split())


def test_runs_show_the_columns_that_they_were_configured_to(capsys: Capture) -> None:
    sweep = make_sweep()
    for record in sweep:
        record.config["report"] = {"columns": ["p99_ms", "hit_rate", "qps_saturated"]}
    assert "| operating point | single p99 ms | hit_rate@100 | qps saturated |" in (
        comparison_markdown(sweep, "title")
    )
    print_table(sweep)
    assert "p99" in capsys.readouterr().out
    assert r"single p99 ms & hit\_rate@100 & qps saturated" in latex_table(sweep, "title")


def test_chosen_columns_win_over_the_usual_ones_on_a_narrow_terminal() -> None:
    shown = io.StringIO()
    names = ["index_bytes", "serving_memory_bytes", "build_seconds", "qps_batch", "p99_ms"]
    print_table(make_sweep(), Console(file=shown, width=80, force_terminal=True, no_color=True), names)
    text = shown.getvalue()
    assert "in a wider terminal also" not in text and "recall" not in text.split("twemoji")[0]


def test_a_column_of_the_config_that_no_run_has_is_a_fault_before_any_work() -> None:
    experiment = compose(["report.columns=[p50_ms,hit_rate@1,nprobe,cpu,knn_recall_at_10_p05]"])
    assert find_faults(experiment) == []
    [fault] = find_faults(compose(["report.columns=[p50_ms,nprob]"]))
    assert fault.startswith("report.columns: no column is called nprob; did you mean nprobe")
