"""Looking at finished runs never builds anything: what is missing is said, with what to do about it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lookalike
from lookalike.cli import main
from lookalike.errors import UserError
from lookalike.runs.opener import open_finished
from lookalike.runs.paths import HomePaths, SweepPaths
from tests.report.test_html import payload_of
from tests.runs.runs import painted

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sweep of two indexes over 40 photos, which lose much."""
    root = tmp_path_factory.mktemp("measured")
    photos = painted(root / "photos", 40)
    searched = ("queries.n=5", "search.k=5", "search.repeats=1", "search.warm_up=0")
    made = (
        "model=pixels",
        "index=ivf_flat",
        "index.nlist=4,8",
        "search.nprobe=1",
        "sweep.name=mine",
        "tracking=none",
    )
    chosen = ("dataset=folder", f"dataset.root={photos}", *made, *searched)
    lookalike.run_sweep(*chosen, root=root, quiet=True)
    return root


@pytest.fixture
def home(measured: Path, tmp_path: Path) -> Path:
    """A copy of it without its store; the photos are where they were."""
    shutil.copytree(measured, tmp_path / "home", ignore=shutil.ignore_patterns("store", "photos"))
    return tmp_path / "home"


def test_a_sweep_is_collected_without_its_store(measured: Path, capsys: Capture) -> None:
    """Its collector may run on a login node, where nothing is to be embedded."""

    def losses() -> Any:
        report = SweepPaths(HomePaths(measured).sweep("mine")).report
        return payload_of(report.read_text(encoding="utf-8"))["losses"]

    assert losses()["pages"] and losses()["notes"] == []
    store = (measured / "store").rename(measured / "elsewhere")
    try:
        assert main(["sweep", "collect", "mine", "--root", str(measured)]) == 0
        assert not (measured / "store").exists()
    finally:
        store.rename(measured / "store")
    assert losses()["pages"] == []
    [note, *_] = losses()["notes"]
    assert "are no longer in" in note and "run the experiment again" in note
    assert "2 done" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["query", "photo.png"],
        ["query", "photo.png", "--run", "mine:nlist=8"],
        ["export", "mine", "exported"],
        ["embeddings", "export", "vectors"],
    ],
    ids=" ".join,
)
def test_what_is_gone_from_the_store_is_one_sentence(
    home: Path, command: list[str], measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(home)
    shutil.copy(measured / "photos" / "003.png", home / "photo.png")
    assert main([*command, "--root", str(home)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "of this run are no longer in" in line and "run the experiment again" in line
    assert not (home / "store").exists() and not (home / "exported").exists()


def test_photos_that_have_moved_are_one_sentence_that_says_what_to_do(
    measured: Path, tmp_path: Path, capsys: Capture
) -> None:
    home = tmp_path / "home"
    shutil.copytree(measured, home, ignore=shutil.ignore_patterns("photos"))
    shutil.copy(measured / "photos" / "003.png", tmp_path / "photo.png")
    photos = (measured / "photos").rename(measured / "moved")
    try:
        assert main(["query", str(tmp_path / "photo.png"), "--root", str(home)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"dataset.root={measured / 'photos'} does not exist; move it back there, or run" in line
        hits = open_finished("mine", home).search(tmp_path / "photo.png", 3)
        assert hits.ids[0] == "003.png", "what needs no photos is searched all the same"
    finally:
        photos.rename(measured / "photos")


def test_a_finished_run_is_searched_with_paths_images_and_vectors(measured: Path) -> None:
    run = open_finished("mine:nlist=8", measured)
    photo = measured / "photos" / "007.png"
    by_path, by_name = run.search(photo, 3), run.search(str(photo), k=3)
    by_vector = run.search(run.vectors.rows(np.array([7]))[0], 3)
    assert by_path.ids[0] == "007.png"
    assert by_path.ids == by_name.ids == by_vector.ids == run.search(run.images.load(7), 3).ids
    with pytest.raises(UserError, match="has no text tower"):
        run.search("a red house")
