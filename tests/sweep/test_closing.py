"""The last lines that a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.config import compose
from lookalike.sweep.closing import closing_lines
from tests.records import make_record

RECORD = make_record(data={"gallery_size": 4009})


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


def test_where_how_and_an_honest_word(tmp_path: Path) -> None:
    assert closing_lines(compose(), [RECORD], tmp_path / "outputs/x") == [
        "results: outputs/x",
        "compare: lookalike mlflow",
        "4,009 images need no index. Next, your own:",
        "  lookalike run dataset=folder dataset.root=~/Pictures dataset.limit=5000",
    ]


def test_ones_own_images_need_no_advice_and_another_root_is_named() -> None:
    experiment = compose(["dataset=folder", "dataset.root=/tmp", "paths.root=/data"])
    assert closing_lines(experiment, [RECORD], Path("/data/outputs/x")) == [
        "results: /data/outputs/x",
        "compare: lookalike mlflow --root /data",
    ]


def test_the_home_of_the_environment_is_found_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", "/data")
    assert "compare: lookalike mlflow" in closing_lines(compose(), [RECORD], Path("/data/outputs/x"))


def test_servers_are_named_and_no_tracking_is_not() -> None:
    server = compose(["tracking=server", "tracking.uri=http://mlflow.example"])
    assert "compare: http://mlflow.example" in closing_lines(server, [RECORD], Path("x"))
    assert closing_lines(compose(["tracking=none"]), [], Path("x")) == ["results: x"]
