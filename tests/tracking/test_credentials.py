"""Passwords reach the server and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.config import compose
from lookalike.credentials import conceal, concealed, is_concealed, set_aside, set_aside_all
from lookalike.errors import TrackingError
from lookalike.record import Record
from lookalike.tracking.backend import tracking_errors
from tests import records

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("uri", "left", "told"),
    [
        (
            "https://bob:p%40ss@host:5000/path?q=1",
            "https://host:5000/path?q=1",
            {"MLFLOW_TRACKING_USERNAME": "bob", "MLFLOW_TRACKING_PASSWORD": "p@ss"},
        ),
        ("postgresql+psycopg2://u:p@h:5432/db", "postgresql+psycopg2://u@h:5432/db", {"PGPASSWORD": "p"}),
        ("mysql://u:p@h/db", "mysql://u:p@h/db", {}),
        ("http://host:5000", "http://host:5000", {}),
        ("http://bob:***@host", "http://bob:***@host", {}),
        ("http://[no address", "http://[no address", {}),
    ],
)
def test_a_password_is_set_aside(uri: str, left: str, told: dict[str, str]) -> None:
    environ: dict[str, str] = {}
    assert set_aside(uri, environ) == left
    assert environ == told


def test_overrides_and_the_environment_lose_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://bob:{SECRET}@host")
    given = ["index=flat", f"tracking.uri='http://bob:{SECRET}@host:1'", f"+tracking.uri=http://b:{SECRET}@h"]
    assert set_aside_all(given) == ["index=flat", "tracking.uri='http://host:1'", "+tracking.uri=http://h"]
    assert compose(["tracking=server"]).tracking.uri == "http://host"


def test_texts_and_values_hide_them() -> None:
    text = (
        f"POST http://bob:{SECRET}@h:1/x failed, mysql+x://u:{SECRET}@h too; mail a@b.c, see http://h/a:b@c"
    )
    assert (
        conceal(text)
        == "POST http://bob:***@h:1/x failed, mysql+x://u:***@h too; mail a@b.c, see http://h/a:b@c"
    )
    assert SECRET not in repr(concealed({"a": [f"http://u:{SECRET}@h"], "b": (1, None, f"x://u:{SECRET}@h")}))
    assert is_concealed(conceal(f"mysql://u:{SECRET}@h/db")) and not is_concealed("mysql://u@h/db")


def test_a_record_does_not_hold_them(tmp_path: Path) -> None:
    uri = f"mysql://u:{SECRET}@h/db"
    record = records.make_record(config={"tracking": {"uri": uri}}, overrides=[f"tracking.uri={uri}"])
    path = record.save(tmp_path)
    assert SECRET not in path.read_text()
    assert Record.load(path).identity == record.identity


def test_errors_do_not_hold_them() -> None:
    with pytest.raises(TrackingError) as caught, tracking_errors(f"mysql://u:{SECRET}@h/db"):
        raise ConnectionError(f"cannot reach mysql://u:{SECRET}@h/db")
    assert SECRET not in str(caught.value) and "mysql://u:***@h/db" in str(caught.value)


def test_a_run_writes_them_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server is not there: the run says so before any work, and Hydra's folder is gone."""
    uri = f"http://bob:{SECRET}@127.0.0.1:9"
    small = [
        "model=pixels",
        "dataset.limit=12",
        "queries.n=1",
        "index=flat",
        "search.k=5",
        "search.repeats=1",
    ]
    assert main(["run", *small, f"paths.root={tmp_path}", "tracking=server", f"tracking.uri={uri}"]) == 2
    told = capsys.readouterr()
    assert "no MLflow server answers at http://127.0.0.1:9" in told.err
    assert SECRET not in told.err + told.out
    left = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text("latin-1")]
    assert left == []
