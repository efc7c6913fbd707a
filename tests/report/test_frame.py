"""Operating points for other programs: a DataFrame, LaTeX, and the files of ``lookalike report``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import lookalike
from lookalike.cli import main
from lookalike.report.latex import escaped, latex_table
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
