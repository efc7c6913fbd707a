"""A first run over as many images as somebody has, with nothing else said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lookalike.cli import main
from tests.pipeline.command_line import Ended, Run, records
from tests.pipeline.conftest import paint

QUICK = (
    "model=pixels",
    "search.modes=[single]",
    "search.repeats=1",
    "search.warm_up=0",
    "measures.bootstrap=0",
    "tracking=none",
)
"""What makes a run quick and leaves every default that depends on the gallery's size."""


@pytest.fixture
def first_run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """``lookalike run`` with nothing said of index, k and queries."""

    def perform(*overrides: str) -> Ended:
        capfd.readouterr()
        code = main(["run", f"paths.root={home}", *QUICK, *overrides])
        return Ended(code, *capfd.readouterr())

    return perform


def photos(folder: Path, n: int) -> str:
    for number in range(n):
        paint(folder / f"{number:03}.png", number)
    return f"dataset.root={folder}"


def painted(folder: Path, n: int) -> str:
    """Many one-coloured images, quicker made than :func:`photos`."""
    folder.mkdir()
    for number in range(n):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 37 * number % 256)).save(
            folder / f"{number:03}.png"
        )
    return f"dataset.root={folder}"


@pytest.mark.parametrize(("n", "k", "queries"), [(2, 1, 14), (9, 2, 63), (60, 10, 420)])
def test_a_few_photos(n: int, k: int, queries: int, tmp_path: Path, home: Path, first_run: Run) -> None:
    ended = first_run("dataset=folder", photos(tmp_path / "photos", n))

    assert ended.code == 0, ended.err
    assert f"{n} images need no index: exact search takes less than 1 ms a query" in ended.err
    [record] = records(home)
    [point] = record["points"]
    assert (point["label"], point["settings"], record["data"]["query_count"]) == ("flat", {"k": k}, queries)
    assert point["metrics"][f"knn_recall_at_{k}"] == 1
    config = record["config"]
    assert (config["index"]["family"], config["search"]["k"], config["queries"]["n"]) == ("flat", k, None)
    assert (config["composed"]["index.family"], config["composed"]["queries.n"]) == ("auto", "auto")
    assert config["choices"][0] in ended.err
    assert f"{n} images need no index: exact search took " in ended.out


def test_317_photos_exact_and_in_too_many_lists(tmp_path: Path, home: Path, first_run: Run) -> None:
    root = painted(tmp_path / "photos", 317)
    swept = first_run(
        "dataset=folder", root, "queries=in_gallery", "-m", "index=auto,ivf_flat", "search.nprobe=1"
    )
    assert swept.code == 0, swept.err
    assert "search.nprobe is left out: index=flat has no such setting" in swept.err
    labels = {point["label"] for record in records(home) for point in record["points"]}
    assert labels == {"flat", "ivf_flat nlist=8 nprobe=1"}
    assert {record["config"]["rows"] for record in records(home)} == {317}

    lost = first_run(
        "dataset=folder", root, "queries=in_gallery", "index=ivf_flat", "index.nlist=64", "search.nprobe=1"
    )
    assert "of the exact 20 neighbours; a larger search.nprobe finds more" in lost.out
    assert "317 images need no index: index=flat is exact" in lost.out


@pytest.mark.parametrize(
    ("n", "label", "said"),
    [
        (5_000, "flat", "4,000 vectors need no index"),
        (100_000, "ivf_flat nlist=1024 nprobe=64", "index=ivf_flat with 1,024 lists suits 99,000 vectors"),
    ],
)
def test_many_vectors(n: int, label: str, said: str, home: Path, first_run: Run) -> None:
    vectors = ("dataset=synthetic", f"dataset.n={n}", "dataset.dim=4", "dataset.clusters=20")
    ended = first_run(*vectors, "queries=held_out", "index.train_size=40000")
    assert ended.code == 0, ended.err
    assert said in ended.err
    [record] = records(home)
    [point] = record["points"]
    assert (point["label"], point["settings"]["k"], record["data"]["query_count"]) == (label, 100, 1000)


@pytest.mark.parametrize(
    ("n", "said"), [(0, "holds no images"), (1, "holds 1 image, and a search needs 2 or more")]
)
def test_too_few_photos_are_one_sentence(
    n: int, said: str, tmp_path: Path, home: Path, first_run: Run
) -> None:
    (tmp_path / "photos").mkdir()
    ended = first_run("dataset=folder", photos(tmp_path / "photos", n))
    assert said in ended.refusal()
    assert ended.err.count("\n") == 1
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_photos_in_one_folder_have_one_label(tmp_path: Path, first_run: Run) -> None:
    root = photos(tmp_path / "photos", 6)
    ended = first_run("dataset=folder", root, "dataset.labels=folder", "queries=labels")
    assert "all 6 images have the label 'photos', so everything that is found counts" in ended.refusal()
    assert "(labels=folder: the images of each in a folder of their own)" in ended.refusal()


def test_bad_images_leave_fewer_than_were_counted(tmp_path: Path, home: Path, first_run: Run) -> None:
    """What was chosen for all of them still fits."""
    root = painted(tmp_path / "photos", 30)
    for number in range(19):
        (tmp_path / "photos" / f"{number:03}.png").write_bytes(b"no image")
    ended = first_run("dataset=folder", root, "dataset.max_bad_fraction=1", "index=ivf_flat", "queries.n=30")
    assert ended.code == 0, ended.err
    [record] = records(home)
    assert (record["config"]["gallery_size"], record["data"]["gallery_size"]) == (30, 11)
