"""A local home that is copied, moved, linked or damaged: nothing is written outside of it, and it opens."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lookalike import schemas
from lookalike.cli import main
from lookalike.cli.mlflow import server_command
from lookalike.errors import TrackingError
from lookalike.runs.record import Record
from lookalike.store.files import STALE_SECONDS
from lookalike.tracking import open_tracker
from lookalike.tracking.backend import Backend
from lookalike.tracking.home import create_database, open_home
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records
from tests.tracking.servers import MlflowServer

FILES = {"config.yaml", "record.json", "by_edit.csv", "index.json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one record shown in MLflow, to be copied."""
    root = tmp_path_factory.mktemp("a b%20c#d?'é") / "made"
    show("first", root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A home whose MLflow believes to lie in a folder that is gone now: it was moved here."""
    moved = tmp_path / "moved here"
    shutil.copytree(made, moved)
    made.rename(gone := made.with_name("gone"))
    yield moved
    gone.rename(made)


def tracker_in(root: Path, **settings: Any) -> MlflowTracker:
    tracker = open_tracker(schemas.Tracking(**settings), root)
    assert isinstance(tracker, MlflowTracker)
    return tracker


def show(name: str, root: Path, **settings: Any) -> str:
    """Log a record of that name; returns the id of its run."""
    record, folder = records.make_record(name=name), root / "outputs" / name
    record.save(folder)
    tracker_in(root, **settings).log(record, folder)
    return str(record.points[0].mlflow_run_id)


def addresses(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        return [
            row[0]
            for query in ("SELECT artifact_location FROM experiments", "SELECT artifact_uri FROM runs")
            for row in database.execute(query)
        ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_moved_home_opens_with_its_artifacts_and_makes_no_old_folder_again(made: Path, root: Path) -> None:
    first = Record.load(root / "outputs" / "first").points[0].mlflow_run_id
    second = show("second", root)
    client = tracker_in(root).client
    for run in (first, second):
        assert run is not None
        assert {item.path for item in client.list_artifacts(run)} == FILES
        assert (root / "mlruns" / "artifacts" / run / "artifacts" / "record.json").is_file()
    assert all(each.startswith((root / "mlruns").as_uri()) for each in addresses(root))
    assert not made.exists()


def test_a_copy_leaves_the_original_alone(made: Path, tmp_path: Path) -> None:
    before, copy = contents(made), tmp_path / "copy"
    shutil.copytree(made, copy)
    run = show("in the copy", copy)
    assert (copy / "mlruns" / "artifacts" / run / "artifacts" / "record.json").is_file()
    assert contents(made) == before


def test_a_home_reached_by_a_link_keeps_its_addresses(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, home := tmp_path / "home")
    show("by its name", home)
    before = addresses(home)
    (link := tmp_path / "link").symlink_to(home)
    show("by the link", link)
    assert addresses(home)[: len(before)] == before


def test_whoever_opens_at_once_finds_the_same(root: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: open_home(root / "mlruns", to_write=True), range(8)))
    assert all(each.startswith((root / "mlruns").as_uri()) for each in addresses(root))


def test_mlflows_first_experiment_lies_in_the_home_and_not_in_the_working_directory(root: Path) -> None:
    """0.1.0 left it in the folder where the first run was typed."""
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = '/elsewhere/mlruns/0' WHERE name='Default'"
        )
    run = show("by default", root, experiment="Default")
    assert list((root / "mlruns" / "artifacts" / "0" / run).rglob("record.json"))


def test_an_experiment_that_lies_elsewhere_is_refused(root: Path, tmp_path: Path) -> None:
    client = tracker_in(root).client
    elsewhere = client.create_experiment("elsewhere", artifact_location=(tmp_path / "other").as_uri())
    client.create_run(elsewhere)
    with pytest.raises(TrackingError, match=r"outside of .*; set tracking\.experiment to another name"):
        show("elsewhere", root, experiment="elsewhere")
    assert not (tmp_path / "other").exists()


def test_lookalike_mlflow_serves_the_artifacts_of_a_moved_home(root: Path, tmp_path: Path) -> None:
    run = Record.load(root / "outputs" / "first").points[0].mlflow_run_id
    server = MlflowServer("", tmp_path / "served")
    server.command = server_command(root, "127.0.0.1", server.port)
    server.start()
    try:
        address = f"{server.uri}/get-artifact?path=record.json&run_uuid={run}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            served = answer.read()
    finally:
        server.kill()
    (tmp_path / "record.json").write_bytes(served)
    assert Record.load(tmp_path).name == "first"


def damage_head(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(b"x" * 100)


def damage_pages(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))


def cut_off(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


@pytest.mark.parametrize("damage", [damage_head, damage_pages, cut_off])
def test_a_damaged_database_is_one_sentence_and_is_kept(root: Path, damage: Any) -> None:
    database = root / "mlruns" / "mlflow.db"
    damage(database)
    before = database.read_bytes()
    with pytest.raises(TrackingError, match=r"mlflow\.db is damaged .* `lookalike sync` fills a fresh one"):
        show("too late", root)
    assert database.read_bytes()[4096:] == before[4096:]
    with pytest.raises(TrackingError, match="is damaged"):
        server_command(root, "127.0.0.1", MlflowServer("", root / "unused").port)


def test_a_damaged_database_that_was_moved_away_is_filled_again(root: Path) -> None:
    database = root / "mlruns" / "mlflow.db"
    damage_head(database)
    database.rename(database.with_name("mlflow.db.damaged"))
    assert main(["sync", "--root", str(root)]) == 0
    assert len(addresses(root)) == 3, "two experiments, one run"


def test_an_empty_database_is_made_anew(tmp_path: Path) -> None:
    """What a full disk leaves; several processes that each filled it would break each other's."""
    (tmp_path / "mlflow.db").write_bytes(b"")
    create_database(tmp_path, lambda path: path.write_bytes(b"whole"))
    assert (tmp_path / "mlflow.db").read_bytes() == b"whole"


def test_what_killed_processes_left_is_removed_and_drafts_in_use_stay(root: Path) -> None:
    run = Record.load(root / "outputs" / "first").points[0].mlflow_run_id
    artifacts = root / "mlruns" / "artifacts" / str(run) / "artifacts"
    old = [
        root / "mlruns" / ".mlflow.db.0123",
        root / "mlruns" / ".mlflow.db.0123-journal",
        artifacts / ".artifact.uploading.abc",
        artifacts / "index" / ".artifact.uploading.def",
        root / "outputs" / "first" / ".record.json.77",
    ]
    new = [path.with_name(f"{path.name}.new") for path in old]
    for path in (*old, *new):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    for path in old:
        long_ago = time.time() - STALE_SECONDS - 60
        os.utime(path, (long_ago, long_ago))
    record = Record.load(root / "outputs" / "first")
    tracker_in(root).log(record, root / "outputs" / "first")
    record.save(root / "outputs" / "first")
    assert [path for path in old if path.exists()] == []
    assert [path for path in new if not path.exists()] == []


def test_a_backend_that_is_no_file_system_is_nobodys_home() -> None:
    Backend("http://127.0.0.1:1").check_inside("s3://bucket/artifacts")
