"""``fetch``, ``store`` and ``mlflow``."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.cli.mlflow import address, is_free, server_command
from lookalike.errors import TrackingError
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of two artifacts, one made from the other, under the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    builder = Store(tmp_path / "store")

    def build(folder: Path) -> dict[str, object]:
        (folder / "data.bin").write_bytes(b"x" * 2000)
        return {}

    embeddings = builder.obtain(Recipe("embeddings", 1, {"model": "pixels"}, {}), build)
    builder.obtain(Recipe("index", 1, {"nlist": 64}, {"gallery": embeddings.key}), build)
    return Store(builder.root)  # the one that uses them is closed


def test_store_ls(store: Store, capsys: Capture) -> None:
    assert main(["store", "ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["kind", "key"]
    assert {line.split()[0] for line in lines[1:3]} == {"embeddings", "index"}
    assert lines[-1] == "2 artifacts, 4.0 KB in store"

    assert main(["store", "ls", "--kind", "index"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 artifacts, 2.0 KB")


def test_store_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir("/")
    assert main(["store", "--root", str(tmp_path), "ls"]) == 0
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path))
    assert main(["store", "ls"]) == 0
    assert capsys.readouterr().out.count("2 artifacts, ") == 2


def test_store_verify_sets_damage_aside(store: Store, capsys: Capture) -> None:
    assert main(["store", "verify"]) == 0
    assert capsys.readouterr().out == "2 artifacts verified, 0 damaged\n"

    [index] = store.artifacts("index")
    index.file("data.bin").write_bytes(b"y" * 2000)
    assert main(["store", "verify"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"index {index.key[:12]}: data.bin was damaged; the next run builds it again"
    assert last == "2 artifacts verified, 1 damaged"


def test_store_prune_shows_before_it_removes(store: Store, capsys: Capture) -> None:
    assert main(["store", "prune", "--kind", "index"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "can go: 1, 2.9 KB",  # its manifest and stamps as well
        "nothing was removed; lookalike store prune --yes does it",
    ]
    assert len(list(store.artifacts())) == 2

    assert main(["store", "prune", "--kind", "index", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "removed 1, 2.9 KB"
    assert [artifact.kind for artifact in store.artifacts()] == ["embeddings"]


def test_store_prune_tells_of_what_is_in_use(store: Store, capsys: Capture) -> None:
    user = Store(store.root)
    assert user.find(Recipe("embeddings", 1, {"model": "pixels"}, {}))
    assert main(["store", "prune", "--unused-days", "0", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "removed 1, 2.9 KB",
        "1 artifacts that running processes use stay",
    ]
    assert [artifact.kind for artifact in store.artifacts()] == ["embeddings"]


def test_store_prune_removes_output_folders_of_killed_runs(
    store: Store, tmp_path: Path, capsys: Capture
) -> None:
    def leave(name: str, *files: str, days: float = 40) -> Path:
        folder = tmp_path / name
        for file in (".hydra/config.yaml", *files):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("x")
        for path in (*folder.rglob("*"), folder):
            then = time.time() - days * 86_400
            os.utime(path, (then, then))
        return folder

    killed = [
        leave("outputs/2026-01-01/10-00-00.000001", "lookalike.log", ".record.json.77"),
        leave("multirun/mine/flat-0a1b2c"),
    ]
    kept = [
        leave("outputs/2026-01-01/10-00-00.000002", "record.json"),
        leave("outputs/2026-01-01/10-00-00.000003", "notes.txt"),
        leave("outputs/2026-01-01/10-00-00.000004", days=1),
    ]
    assert main(["store", "prune"]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert all(folder.exists() for folder in (*killed, *kept))
    assert main(["store", "prune", "--yes"]) == 0
    assert not any(folder.exists() for folder in killed)
    assert all(folder.exists() for folder in kept)


def test_a_store_of_another_version_is_a_users_error(store: Store, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "store/format.json").write_text(json.dumps({"format": 99}))
    assert main(["store", "ls"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("arguments", [["store"], ["store", "burn"], ["mlflow", "--port", "many"]])
def test_wrong_use_is_exit_code_2(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: lookalike {arguments[0]}") and "; " in line


def test_fetch_composes_the_model(capsys: Capture) -> None:
    assert main(["fetch", "model=pixels"]) == 0
    assert "nothing to fetch" in capsys.readouterr().err


def test_fetch_of_a_model_that_is_not_there(capsys: Capture) -> None:
    assert main(["fetch", "model=siglip_bass"]) == 2
    assert "did you mean siglip_base?" in capsys.readouterr().err


def test_mlflow_before_any_run_makes_no_empty_database(tmp_path: Path, capsys: Capture) -> None:
    assert main(["mlflow", "--root", str(tmp_path), "--no-browser"]) == 2
    assert "run an experiment there first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def tracked(root: Path) -> Path:
    (root / "mlruns").mkdir()
    with closing(sqlite3.connect(root / "mlruns/mlflow.db")) as database:  # what is asked about a moved home
        database.execute("CREATE TABLE experiments (experiment_id, artifact_location)")
        database.execute("CREATE TABLE experiment_tags (experiment_id, key)")
        database.execute("CREATE TABLE runs (experiment_id, run_uuid, artifact_uri)")
    return root


def test_mlflow_serves_the_local_database(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = server_command(tracked(tmp_path), "127.0.0.1", port)
    uri = command[command.index("--backend-store-uri") + 1]
    assert uri.startswith("sqlite:///")
    assert uri.endswith(f"{tmp_path}/mlruns/mlflow.db")


def test_mlflow_names_another_port_when_one_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        with pytest.raises(TrackingError, match=f"lookalike mlflow --port {port + 1}"):
            server_command(tracked(tmp_path), "127.0.0.1", port)
    assert is_free("127.0.0.1", port)


def test_addresses_are_ones_that_a_browser_can_open() -> None:
    assert address("0.0.0.0", 5000) == "http://127.0.0.1:5000"
    assert address("127.0.0.1", 5001) == "http://127.0.0.1:5001"


def test_store_ls_names_the_datasets_and_models_that_artifacts_were_used_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from tests.pipeline.command_line import QUICK

    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path))
    data = ["dataset=synthetic", "dataset.n=50", "dataset.dim=4"]
    assert main(["run", *QUICK, *data, "queries=in_gallery"]) == 0
    capsys.readouterr()
    assert main(["store", "ls", "--kind", "index"]) == 0
    assert " synthetic" in capsys.readouterr().out
