"""Passwords reach the server and nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.config.composing import compose
from lookalike.errors import TrackingError
from lookalike.machine.credentials import (
    conceal,
    conceal_all,
    concealed,
    is_concealed,
    set_aside,
    set_aside_all,
    set_aside_environment,
    whole_address,
)
from lookalike.runs.record import Record
from lookalike.tracking.backend import Backend, tracking_errors
from tests import records

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    before = os.environ.copy()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers  # Hydra configures the root logger of the process
    root.setLevel(level)
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.mark.parametrize(
    ("uri", "left", "told"),
    [
        (
            "https://bob:p%40ss@host:5000/path?q=1",
            "https://host:5000/path?q=1",
            {"MLFLOW_TRACKING_USERNAME": "bob", "MLFLOW_TRACKING_PASSWORD": "p@ss"},
        ),
        ("postgresql+psycopg2://u:p@h:5432/db", "postgresql+psycopg2://u@h:5432/db", {"PGPASSWORD": "p"}),
        ("postgresql://h/db?user=u", "postgresql://h/db?user=u", {}),
        ("http://host:5000", "http://host:5000", {}),
        ("http://bob:***@host", "http://bob:***@host", {}),
        ("http://[no address", "http://[no address", {}),
        ("http://host:5000/a@b", "http://host:5000/a@b", {}),
        ("databricks://profile:prefix", "databricks://profile:prefix", {}),
        ("mysql://u:${oc.env:PW}@h/db", "mysql://u:${oc.env:PW}@h/db", {}),
    ],
)
def test_a_password_is_set_aside(uri: str, left: str, told: dict[str, str]) -> None:
    environ: dict[str, str] = {}
    assert set_aside(uri, environ) == left
    assert environ == told


ADDRESSES = [  # (an address, what clients get)
    (f"mysql+pymysql://u:{SECRET}@h/db", f"mysql+pymysql://u:{SECRET}@h/db"),
    (f"mssql+pyodbc://u:{SECRET}@h/db?driver=x", f"mssql+pyodbc://u:{SECRET}@h/db?driver=x"),
    (f"databricks://token:{SECRET}@h?http_path=1", f"databricks://token:{SECRET}@h?http_path=1"),
    (f"postgresql+pg8000://u:{SECRET}@h/db", f"postgresql+pg8000://u:{SECRET}@h/db"),
    (f"mysql://h/db?user=u&password={SECRET}", f"mysql://h/db?user=u&password={SECRET}"),
    (f"postgresql://h/db?user=u&PASSWORD={SECRET}", f"postgresql://h/db?user=u&PASSWORD={SECRET}"),
    (f"mssql://h/db;user=u;pwd={SECRET};x=y", f"mssql://h/db;user=u;pwd={SECRET};x=y"),
    (
        f"mssql+pyodbc:///?odbc_connect=A%3D;PWD%3D{SECRET}",
        f"mssql+pyodbc:///?odbc_connect=A%3D;PWD%3D{SECRET}",
    ),
    (f"https://h:5000/?access_token={SECRET}", f"https://h:5000/?access_token={SECRET}"),
    (f"redis://:{SECRET}@h", f"redis://:{SECRET}@h"),
    (f"mysql://u:a/{SECRET}@h/db", f"mysql://u:a%2F{SECRET}@h/db"),
    (f"mysql://u:a@{SECRET}@h/db", f"mysql://u:a%40{SECRET}@h/db"),
    (f"mysql://u:a,{SECRET}@h/db", f"mysql://u:a,{SECRET}@h/db"),
    (f"mysql://u:a? #{SECRET}'@h/db", f"mysql://u:a%3F%20%23{SECRET}%27@h/db"),
    (f"MySQL://u:%40{SECRET}@h:3306/db", f"MySQL://u:%40{SECRET}@h:3306/db"),
]


@pytest.mark.parametrize(("uri", "whole"), ADDRESSES)
def test_any_address_is_shown_without_its_secret_and_known_whole(uri: str, whole: str) -> None:
    environ: dict[str, str] = {}
    shown = set_aside(uri, environ)
    assert SECRET not in shown and is_concealed(shown)
    assert set_aside(shown, environ) == conceal(shown) == shown
    assert whole_address(shown, environ) == whole
    assert whole_address(shown, {}) is None
    assert SECRET not in conceal_all(f"cannot reach {uri}, says h", environ)


def test_a_password_without_its_address_is_not_said_either() -> None:
    environ = {"PGPASSWORD": "of-libpq"}
    set_aside(f"mysql://u:%40{SECRET}@h/db", environ)
    said = f"login failed: @{SECRET}, %40{SECRET} and of-libpq"
    assert conceal_all(said, environ) == "login failed: ***, *** and ***"


@pytest.mark.parametrize(
    ("uri", "user", "password"),
    [("https://bob:a/b@h:1/x", "bob", "a/b"), ("http://bob:a@b#c@h/x", "bob", "a@b#c")],
)
def test_a_servers_password_may_hold_anything(uri: str, user: str, password: str) -> None:
    environ: dict[str, str] = {}
    assert "@" not in set_aside(uri, environ)
    assert environ == {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}


def test_the_environment_is_the_callers_to_change() -> None:
    before, kept = dict(os.environ), dict[str, str]()
    line = f"+hydra.job.env_set.MY_TOKEN={SECRET}"
    assert set_aside_all([line], kept) == ["+hydra.job.env_set.MY_TOKEN=${oc.env:MY_TOKEN}"]
    assert set_aside_all([f"tracking.uri=http://b:{SECRET}@h"], kept) == ["tracking.uri=http://h"]
    assert kept == {
        "MY_TOKEN": SECRET,
        "MLFLOW_TRACKING_USERNAME": "b",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
    }
    assert dict(os.environ) == before


def test_overrides_and_the_environment_lose_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://bob:{SECRET}@host")
    set_aside_environment(os.environ)
    given = ["index=flat", f"tracking.uri='http://bob:{SECRET}@host:1'", f"+tracking.uri=http://b:{SECRET}@h"]
    assert set_aside_all(given, os.environ) == [
        "index=flat",
        "tracking.uri='http://host:1'",
        "+tracking.uri=http://h",
    ]
    assert compose(["tracking=server"]).tracking.uri == "http://host"
    sweep = [
        f"tracking.uri=http://a:{SECRET}@h,mysql://b:x,{SECRET}@i",
        f"+x={{uri: mysql://u:{SECRET}@h, y: a@b}}",
    ]
    assert set_aside_all(sweep, os.environ) == [
        "tracking.uri=http://h,mysql://b:***@i",
        "+x={uri: mysql://u:***@h, y: a@b}",
    ]


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


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            f"mysql+pymysql://u:{SECRET}@h/db",
            "needs the driver pymysql, which is not installed; pip install 'PyMySQL'",
        ),
        (
            f"mysql://u:{SECRET}@h/db",
            "needs the driver MySQLdb, which is not installed; pip install 'mysqlclient'",
        ),
        (
            f"mssql+pyodbc://u:{SECRET}@h/db",
            "needs the driver pyodbc, which is not installed; pip install 'pyodbc'",
        ),
        (f"mssql+nope://u:{SECRET}@h/db", "is not an address of a database ("),
        (f"mysql+pymysql://u:{SECRET}@h:x/db", "is not an address of a database ("),
        (f"redis://u:{SECRET}@h", "MLflow keeps no runs at redis://u:***@h; name a server"),
        (f"http://u:{SECRET} x@h/ y", "no MLflow server answers at http://h/ y ("),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(uri: str, said: str) -> None:
    with pytest.raises(TrackingError) as caught:
        Backend.on_server(uri)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_that_another_process_set_aside_has_to_be_named_again() -> None:
    with pytest.raises(
        TrackingError, match=r"the password of mysql://u:\*\*\*@h/other is not known here; name"
    ):
        Backend.on_server("mysql://u:***@h/other")
