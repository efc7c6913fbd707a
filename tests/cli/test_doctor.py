"""``lookalike doctor`` on this very machine."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from lookalike.cli import main
from lookalike.cli.doctor import show
from lookalike.doctor.finding import NOTE, OK, PROBLEM, Finding

TOPICS = ["device", "faiss", "threads", "memory", "store", "tracking", "slurm", "extras", "models"]


def test_every_topic_is_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--root", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert list(dict.fromkeys(finding["topic"] for finding in found)) == TOPICS
    assert {finding["status"] for finding in found} <= {OK, NOTE, PROBLEM}
    assert code == int(any(finding["status"] == PROBLEM for finding in found))
    assert all(finding["cure"] for finding in found if finding["status"] == PROBLEM)
    assert list(tmp_path.iterdir()) == []


def test_a_problem_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = "http://bob:hunter2@127.0.0.1:9"
    assert main(["doctor", "--root", str(tmp_path), "tracking=server", f"tracking.uri={uri}"]) == 1
    told = capsys.readouterr().out
    assert "✗ no MLflow server answers at http://127.0.0.1:9" in told
    assert "→ start it" in told and "hunter2" not in told


def test_what_is_shown_fits_a_terminal() -> None:
    screen = io.StringIO()
    long = "a word " * 30
    findings = [
        Finding("store", OK, long),
        Finding("store", NOTE, "text", long),
        Finding("slurm", PROBLEM, "x", "y"),
    ]
    assert show(findings, Console(file=screen, width=60)) == findings
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.startswith("store") for line in lines) == 1
    assert " ".join(screen.getvalue().split()).count("a word") == 60, "nothing is cut off"
    assert lines[-1] == "1 problem"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["index=flat"], "tracking settings only"), (["tracking.colour=red"], "there is no tracking.colour")],
)
def test_other_words_are_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments]) == 2
    assert told in capsys.readouterr().err
