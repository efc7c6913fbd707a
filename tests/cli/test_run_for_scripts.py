"""``lookalike run --quiet`` and ``--json``: what a program reads, of a real (tiny) run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.runs.record import Record

TINY = ("model=pixels", "dataset.limit=40", "queries.n=2", "search.k=5", "search.repeats=1", "tracking=none")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)


def test_quiet_ends_with_the_folder_and_says_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *TINY, "index=flat", "--quiet"]) == 0
    out, err = capfd.readouterr()
    assert Record.load(Path(out.strip())).points[0].label == "flat"
    assert err == ""


def test_json_is_one_object_of_all_points(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--json", *TINY, "-m", "index=flat,brute_force"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    points = [point for each in told["runs"] for point in each["points"]]
    assert [point["label"] for point in points] == ["flat", "brute_force"]
    assert points[0]["metrics"]["knn_recall_at_1"] == 1 and points[0]["settings"] == {"k": 5}
    assert (Path(told["folder"]) / "report.html").exists()
    assert "job 1" in err, "progress goes to standard error"
