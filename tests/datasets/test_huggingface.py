"""Datasets of the package ``datasets``: saved, as parquet, as a folder of images; never their code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.images import decode
from lookalike.datasets.sets import ImageSet
from lookalike.errors import DatasetError, ImageError
from lookalike.schemas import HuggingfaceDataset
from lookalike.store.store import Store
from lookalike.ui.thumbnails import Thumbnails
from tests.datasets.shards import jpeg
from tests.pipeline.command_line import QUICK, records

N = 6
LABELS = [0, 1, 0, 1, 0, -1]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package converts goes where the test ends."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def made(**columns: list[Any]) -> Any:
    values: dict[str, list[Any]] = {
        "image": [{"bytes": jpeg(row), "path": None} for row in range(N)],
        "label": LABELS,
        "text": [f"photo {row}" for row in range(N)],
        **columns,
    }
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    known = datasets.Features({**features, "text": datasets.Value("string")})
    if columns:
        return datasets.Dataset.from_dict(values).cast_column("image", datasets.Image())
    return datasets.Dataset.from_dict(values, features=known)


def saved(folder: Path) -> Path:
    made().save_to_disk(folder / "saved")
    return folder / "saved"


def saved_splits(folder: Path) -> Path:
    splits = {"train": made(), "test": made().select([0])}
    datasets.DatasetDict(splits).save_to_disk(folder / "splits")
    return folder / "splits"


def as_parquet(folder: Path) -> Path:
    (folder / "parquet").mkdir()
    made().to_parquet(folder / "parquet/train-00000-of-00001.parquet")
    return folder / "parquet"


def as_arrow(folder: Path) -> Path:
    """Arrow files alone, without what save_to_disk puts beside them."""
    made().save_to_disk(folder / "arrow")
    for note in ("state.json", "dataset_info.json"):
        (folder / "arrow" / note).unlink()
    return folder / "arrow"


def opened(path: Path | str | None, **options: object) -> ImageSet:
    config = HuggingfaceDataset(name_or_path=None if path is None else str(path), **options)  # type: ignore[arg-type]
    images = open_dataset(config)
    assert isinstance(images, ImageSet)
    return images


# --- wherever it lies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [saved, saved_splits, as_parquet, as_arrow])
def test_images_captions_and_labels_by_name(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    images = opened(make(tmp_path), labels="label", captions="text", groups="label")
    assert list(images.ids) == [str(row) for row in range(N)]
    assert images.labels == images.groups == ["cat", "dog", "cat", "dog", "cat", None]
    assert images.captions == [f"photo {row}" for row in range(N)]
    assert images.read is not None and images.size is not None
    for row in range(N):
        assert images.read(row) == jpeg(row)
        assert images.size(row) == len(jpeg(row))
        assert images.load(row).tobytes() == decode(jpeg(row), 10**6).tobytes()


def test_a_folder_of_images_has_its_folders_for_labels(tmp_path: Path) -> None:
    for row in range(N):
        file = tmp_path / "photos" / ("dog" if row % 2 else "cat") / f"{row}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(row))
    images = opened(tmp_path / "photos", labels="label")
    assert images.labels == ["cat"] * 3 + ["dog"] * 3
    assert images.locations[3] == str(tmp_path / "photos/dog/1.jpg")
    assert images.load(3).tobytes() == decode(jpeg(1), 10**6).tobytes()
    (tmp_path / "photos/dog/1.jpg").unlink()
    with pytest.raises(ImageError, match="is not a file of this machine"):
        images.load(3)


def test_splits_are_named_as_the_package_names_them(tmp_path: Path) -> None:
    assert len(opened(saved_splits(tmp_path), split="test")) == 1
    images = opened(as_parquet(tmp_path), split="train[2:4]")
    assert images.read is not None
    assert [images.read(row) for row in range(len(images))] == [jpeg(2), jpeg(3)]


def test_bytes_that_nobody_called_images(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    table = pyarrow.table({"content": [jpeg(0), None], "name": ["a", "b"]})
    parquet.write_table(table, tmp_path / "plain/train.parquet")
    images = opened(tmp_path / "plain", images="content", ids="name")
    assert list(images.ids) == ["a", "b"]
    assert images.load(0).size == (12, 8)
    with pytest.raises(ImageError, match="the cell is empty"):
        images.load(1)


def test_of_several_captions_the_first(tmp_path: Path) -> None:
    texts = [["one", "two"], [], ["", "x"], None, ["five"], ["six"]]
    made(text=texts).save_to_disk(tmp_path / "several")
    images = opened(tmp_path / "several", captions="text")
    assert images.captions == ["one", None, None, None, "five", "six"]


# --- samples, fingerprints, pictures -----------------------------------------------------------------------


def test_a_sample_keeps_what_belongs_to_each_image(tmp_path: Path) -> None:
    path = saved(tmp_path)
    everything, some = opened(path, captions="text"), opened(path, captions="text", limit=2)
    assert len(some) == 2
    some = some.take([1, 0])
    assert some.read is not None and some.captions is not None
    for row, id_ in enumerate(some.ids):
        assert some.read(row) == jpeg(int(id_))
        assert some.captions[row] == f"photo {id_}"
        assert some.fingerprints[row] == everything.fingerprints[int(id_)]


def test_fingerprints_change_with_the_files_or_with_the_content(tmp_path: Path) -> None:
    path = saved(tmp_path)
    stat, content = opened(path).fingerprints, opened(path, fingerprint="content").fingerprints
    assert list(opened(path).fingerprints) == list(stat)
    assert len(set(stat)) == len(set(content)) == N
    for file in path.glob("*.arrow"):
        os.utime(file, ns=(1, 1))
    assert not set(opened(path).fingerprints) & set(stat)
    assert opened(path, fingerprint="content").fingerprints == content


def test_many_threads_thumbnails_and_duplicates(tmp_path: Path) -> None:
    twice = [{"bytes": jpeg(row % 4), "path": None} for row in range(N)]
    made(image=twice).save_to_disk(tmp_path / "twice")
    images = opened(tmp_path / "twice")
    with ThreadPoolExecutor(8) as pool:
        rows = list(range(N)) * 30
        for row, image in zip(rows, pool.map(images.load, rows), strict=True):
            assert image.tobytes() == decode(jpeg(row % 4), 10**6).tobytes()
    assert all(Thumbnails(tmp_path / "thumbnails").of(images, range(N)))
    assert duplicate_groups(images, Store(tmp_path / "store")).tolist() == [0, 1, 2, 3, 0, 1]


def test_a_run_by_labels(tmp_path: Path) -> None:
    from lookalike.cli import main

    asked = ["dataset=huggingface", f"dataset.name_or_path={saved(tmp_path)}", "dataset.labels=label"]
    home = tmp_path / "home"
    assert main(["run", *asked, "queries=labels", f"paths.root={home}", *QUICK, "search.k=3"]) == 0
    [record] = records(home)
    assert (record["data"]["gallery_size"], record["data"]["query_count"]) == (N, 5)


# --- what does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split": "nope"}, "has no split nope; set dataset.split to one of train, test"),
        (
            {"captions": "nope", "labels": "no"},
            r"dataset\.captions=nope, dataset\.labels=no is not a column of",
        ),
        ({"images": "label"}, r"dataset\.images=label holds int64, no images"),
        ({"ids": "label"}, "the values of label repeat"),
    ],
)
def test_what_the_dataset_has_not_is_an_error(tmp_path: Path, options: dict[str, str], reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        opened(saved_splits(tmp_path), **options)


def test_a_dataset_without_a_column_of_images_is_an_error(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "texts")
    with pytest.raises(DatasetError, match="the columns of images are none, of text; name one"):
        opened(tmp_path / "texts")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (None, r"dataset\.name_or_path is not set"),
        ("/no/such/folder", "does not exist"),
        ("one/two/three", "does not exist"),
        (__file__, "is not a folder"),
    ],
)
def test_a_place_without_a_dataset_is_an_error(path: str | None, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        opened(path)


def test_garbage_is_an_error(tmp_path: Path) -> None:
    broken = as_parquet(tmp_path)
    for file in broken.iterdir():
        file.write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="cannot be opened as a dataset"):
        opened(broken)
    half = saved(tmp_path)
    for file in half.glob("*.arrow"):
        os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(DatasetError, match="cannot be opened as a dataset"):
        opened(half)


def test_a_datasets_own_code_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DatasetError, match="cannot be opened as a dataset"):
        opened(folder)
    assert not (tmp_path / "ran").exists()


def test_a_cell_that_names_a_device_is_not_opened(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": path} for path in ("/dev/zero", "http://127.0.0.1/x.jpg")]
    table = pyarrow.table({"image": cells})
    (tmp_path / "devices").mkdir()
    parquet.write_table(table, tmp_path / "devices/train.parquet")
    images = opened(tmp_path / "devices", images="image")
    for row in range(2):
        with pytest.raises(ImageError, match="is not a file of this machine"):
            images.load(row)


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DatasetError, match=r"pip install 'lookalike\[huggingface\]'"):
        opened(path)


def test_offline_a_dataset_of_the_hub_is_refused_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    asked = ["dataset=huggingface", "dataset.name_or_path=owner/name", "queries=in_gallery", "model=pixels"]
    command = [sys.executable, "-m", "lookalike", "run", *asked, "tracking=none", f"paths.root={tmp_path}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "owner/name is not on this machine and the hub cannot be reached" in line
    assert "Traceback" not in done.stderr
