"""A home that was made before the code was rearranged: nothing in it is built again.

``tests/data/home_0_2_0_dev0.tar.xz`` holds twelve photos and the home of what ``COMMANDS`` did with them
(lines of MLflow included), made at another place; without reports and figures.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from lookalike import load_runs
from lookalike.cli import main
from tests.pipeline.command_line import artifacts, records

ARCHIVE = Path(__file__).parents[1] / "data" / "home_0_2_0_dev0.tar.xz"
SHORT = ("measures.bootstrap=0", "search.repeats=1", "search.k=5", "measures.cutoffs=[1,5]")
COMMANDS = {
    "flat": ("dataset.labels=folder", "model=pixels", "queries=labels", "index=flat"),
    "sweep": ("-m", "model=pixels", "queries=copies", "queries.n=6", "index=hnsw,ivf_sq8,brute_force"),
    "ivf_flat": (
        "model=efficientnet_lite0",
        "queries=in_gallery",
        "queries.n=6",
        "index=ivf_flat",
        "index.nlist=2",
        "search.nprobe=[1,2]",
    ),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "lookalike"


def older_kinds(home: Path) -> list[str]:
    """The kind of each artifact, without what no run made when the home was written."""
    return [kind for kind in artifacts(home) if kind != "difficulty"]


@pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))
def test_every_stage_is_reused(home: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", str(home))
    there, before = older_kinds(home), len(records(home))
    root = f"dataset.root={home.parent / 'photos'}"
    assert main(["run", *words, "dataset=folder", root, *SHORT, "tracking=none"]) == 0
    new = records(home)[before:]
    assert len(new) == (3 if "-m" in words else 1)
    assert {stage["outcome"] for record in new for stage in record["stages"]} == {"reused"}
    assert older_kinds(home) == there


def test_its_records_points_and_runs_are_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", str(home))
    assert set(load_runs(home)["index"]) == {"flat", "hnsw", "ivf_sq8", "brute_force", "ivf_flat"}
    assert main(["report", str(home / "multirun/three")]) == 0
    assert (home / "multirun/three/report.html").is_file()
    capfd.readouterr()
    assert main(["sync", str(home / "multirun/three"), *map(str, (home / "outputs").glob("*/*"))]) == 0
    assert " 0 created" in capfd.readouterr().out
