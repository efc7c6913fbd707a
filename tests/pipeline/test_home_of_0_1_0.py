"""A home that Lookalike 0.1.0 made: all of it stays readable, and its images are embedded again once.

``tests/data/home_0_1_0.tar.xz`` holds twelve photos, the home of one run and of a sweep of two points over
them (model=pixels, queries=labels, tracking=local), as 0.1.0 left them at /srv; without report and figure.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient

from lookalike import load_runs
from lookalike.cli import main
from lookalike.embed.earlier import OUTDATED
from tests.pipeline.command_line import records

ARCHIVE = Path(__file__).parents[1] / "data" / "home_0_1_0.tar.xz"
RUN = (
    "dataset=folder",
    "dataset.labels=folder",
    "model=pixels",
    "queries=labels",
    "index=flat",
    "search.k=5",
    "measures.cutoffs=[1,5]",
    "measures.bootstrap=0",
    "search.repeats=1",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("LOOKALIKE_HOME", str(tmp_path / "lookalike"))
    return tmp_path / "lookalike"


def status_of_runs(home: Path) -> Counter[str]:
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    return Counter(run.info.status for run in client.search_runs(experiments))


def test_records_report_store_and_runs_stay_readable(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = load_runs(home)
    assert sorted(frame["index"]) == ["flat", "flat", "hnsw"], "a trial that was repeated is there each time"
    assert dict(zip(frame["index"], frame["repeats"], strict=True)) == {"flat": 2, "hnsw": 1}
    assert (frame["knn_recall_at_5"] == 1).all()
    assert main(["store", "verify"]) == 0
    assert "8 artifacts verified, 0 damaged" in capfd.readouterr().out
    assert main(["store", "ls", "--kind", "embeddings"]) == 0
    assert "e51a877aeeec" in capfd.readouterr().out
    assert main(["report"]) == 0
    assert (home / "multirun/small/report.html").is_file()
    capfd.readouterr()
    before = status_of_runs(home)
    assert before == {"FINISHED": 4}
    assert main(["sync"]) == 0  # what later versions log is added: references to indexes
    assert "3 records: 0 complete, 3 completed, 0 created" in capfd.readouterr().out
    assert status_of_runs(home) == before
    assert main(["sync"]) == 0
    assert "3 records: 3 complete, 0 completed, 0 created" in capfd.readouterr().out
    assert len(list((home / "mlruns/artifacts").glob("*/artifacts/index.json"))) == 3, "not where it was made"


def test_its_runs_are_searched_where_the_photos_are(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photo = home.parent / "photos/cats/01.png"
    assert main(["query", "--k", "2", "--run", "latest", str(photo)]) == 2
    assert "dataset.root=/srv/photos does not exist" in capfd.readouterr().err
    for record in home.rglob("record.json"):  # as if they had never been elsewhere
        text = record.read_text(encoding="utf-8")
        record.write_text(text.replace("/srv/photos", str(home.parent / "photos")), encoding="utf-8")
    assert main(["query", "--k", "2", "--run", "latest", str(photo)]) == 0
    assert "\t1\tcats/01.png\t0\t" in capfd.readouterr().out


def test_images_are_embedded_again_once_and_the_old_ones_pruned_on_request(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ["run", f"dataset.root={home.parent / 'photos'}", *RUN]
    assert main([*run, "tracking=local"]) == 0
    said = "".join(capfd.readouterr())
    again = f"{OUTDATED}0.1.0: embedded again, once"
    assert "embeddings: built" in said and again in said
    assert "lookalike store prune --outdated --yes removes it" in " ".join(said.split())
    assert [stage["reason"] for stage in records(home)[-1]["stages"][:2]] == [again, again]
    assert status_of_runs(home) == {"FINISHED": 5}

    assert main([*run, "tracking=none"]) == 0
    assert {stage["outcome"] for stage in records(home)[-1]["stages"]} == {"reused"}
    assert OUTDATED not in "".join(capfd.readouterr())

    assert main(["store", "prune", "--outdated", "--yes"]) == 0
    assert "removed 8" in capfd.readouterr().out
    assert main([*run, "tracking=none"]) == 0
    assert {stage["outcome"] for stage in records(home)[-1]["stages"]} == {"reused"}
    assert len(load_runs(home)) == 6, "every time that a trial was measured"
