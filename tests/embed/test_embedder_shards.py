"""`dataset.shards` on the command line: what an array job embeds is what the whole run takes up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.command_line import QUICK, Ended, records

GALLERY = ("dataset.limit=100", "dataset.shard_size=30", "queries.n=3")
"""Four shards, the last of ten images."""


def lookalike(home: Path, *arguments: str, tracking: str = "tracking=none") -> Ended:
    command = [sys.executable, "-m", "lookalike", "run", f"paths.root={home}", *QUICK, *GALLERY, tracking]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, cwd=home.parent
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def shards(home: Path) -> dict[str, int]:
    """Rows of each embeddings artifact by its key."""
    manifests = (home / "store" / "artifacts" / "embeddings").glob("*/manifest.json")
    read = [json.loads(path.read_text()) for path in manifests]
    return {manifest["key"]: manifest["parameters"]["rows"] for manifest in read}


def entry(record: dict[str, Any]) -> dict[str, Any]:
    """The one stage of a record."""
    [stage] = record["stages"]
    return dict(stage)


def test_chosen_shards_are_embedded_recorded_shown_and_taken_up_by_the_whole_run(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    home = tmp_path / "home"
    ended = lookalike(home, "dataset.shards=[3,0]", tracking="tracking=local")
    assert ended.code == 0, ended
    assert "shards 3, 0 of 4 in the store" in ended.err
    assert sorted(shards(home).values()) == [10, 30]
    [record] = records(home)
    assert (record["status"], record["points"]) == ("finished", [])
    assert entry(record)["stage"] == "embeddings"
    assert set(entry(record)["keys"]) == set(shards(home))
    assert entry(record)["images_per_second"] > 0
    assert record["extras"]["shards"]["numbers"] == [3, 0]
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    [experiment] = [found for found in client.search_experiments() if found.name == "lookalike"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"

    whole = lookalike(home)
    assert whole.code == 0, whole
    assert "embeddings: built 2 of 4 shards" in whole.err
    assert len(shards(home)) == 4
    told = records(home)[-1]
    assert told["stages"][0]["keys"][3] == entry(record)["keys"][0]
    assert told["stages"][0]["keys"][0] == entry(record)["keys"][1]


def test_a_sweep_over_shards_is_a_job_each_and_is_not_done_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sweep = ("-m", "dataset.shards=[0],[1],[2,3]", "index=flat,brute_force", "sweep.name=shards")
    ended = lookalike(home, *sweep)
    assert ended.code == 0, ended
    assert "3 points in 3 jobs; 3 duplicates left out" in ended.err
    assert sorted(shards(home).values()) == [10, 30, 30, 30]
    assert [record["extras"]["shards"]["numbers"] for record in records(home)] == [[0], [1], [2, 3]]

    again = lookalike(home, *sweep)
    assert again.code == 0, again
    assert len(records(home)) == 3, "all were done"

    whole = lookalike(home)
    assert "embeddings: reused, 4 shards" in whole.err


def test_shards_are_of_the_gallery_that_is_searched(tmp_path: Path) -> None:
    """Held-out queries leave it: of 100 images 60 remain, which is known once they are drawn."""
    home = tmp_path / "home"
    held_out = ("queries=held_out", "queries.n=40", "queries.seed=1")
    assert lookalike(home, *held_out, "dataset.shards=[1]").code == 0
    assert list(shards(home).values()) == [30]
    refused = lookalike(home, *held_out, "dataset.shards=[2]").refusal()
    assert "dataset.shards has 2" in refused
    assert "there are 2" in refused
    assert len(shards(home)) == 1


@pytest.mark.parametrize(
    ("shards_", "reason"),
    [
        (
            "[4]",
            "dataset.shards has 4, which the gallery does not have: there are 4, counted from 0",
        ),
        ("[0,-1]", "dataset.shards has -1"),
        ("[]", "dataset.shards is empty"),
        ("[1,1]", "names a shard twice"),
        ("two", "dataset.shards"),
    ],
)
def test_shards_that_are_not_there_are_faults_before_any_work(
    tmp_path: Path, shards_: str, reason: str
) -> None:
    home = tmp_path / "home"
    assert reason in lookalike(home, f"dataset.shards={shards_}").refusal()
    assert not (home / "store").exists()
    assert records(home) == []
