"""Images and vectors that were moved, copied or touched are reused; what really changed is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike import schemas
from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.sbu_captions import LINES_NAME
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.shards import PLACES, open_vectors, shard_recipe
from lookalike.errors import DatasetError
from lookalike.progress import Progress
from lookalike.store.recipe import FIRST_OF_ITS_KIND
from lookalike.store.store import Store
from tests.datasets.shards import jpeg, write_shard
from tests.embed.grey import Grey, embed, grey_images

OLD = 1_600_000_000 * 10**9


class Said(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def paint(path: Path, grey: int) -> None:
    """Noise around a grey: the files are of one size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6 8 8 255 " + bytes([grey]) * 192)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four images of one size and time of change, and one that cannot be decoded."""
    for number, name in enumerate(("a/1.ppm", "a/2.ppm", "b/1.ppm", "b/2.ppm")):
        paint(tmp_path / "photos" / name, 50 * number)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    for path in sorted((tmp_path / "photos").rglob("*.*")):
        os.utime(path, ns=(OLD, OLD))
    return tmp_path / "photos"


def opened(root: Path, store: Store, progress: Progress | None = None, **options: Any) -> ImageSet:
    config = schemas.FolderDataset(root=str(root), max_bad_fraction=0.5, **options)
    images = open_dataset(config, progress or Said(), store)
    assert isinstance(images, ImageSet)
    return images


def touch(root: Path) -> Path:
    for path in root.rglob("*.*"):
        os.utime(path)
    return root


def move(root: Path) -> Path:
    return root.rename(root.with_name("elsewhere"))


def copy(root: Path) -> Path:
    """As ``cp -r``: other times, another place."""
    return Path(shutil.copytree(root, root.with_name("copy"), copy_function=shutil.copyfile))


def mount(root: Path) -> Path:
    """A second way to the same files."""
    root.with_name("mount").symlink_to(root)
    return root.with_name("mount")


def in_a_home_of_1970(root: Path) -> Path:
    """As unpacked from an archive that keeps no times."""
    for path in root.rglob("*.*"):
        os.utime(path, ns=(0, 0))
    return root


@pytest.mark.parametrize("fingerprint", ["stat", "content"])
@pytest.mark.parametrize("happened", [move, touch, copy, mount, in_a_home_of_1970])
def test_images_that_moved_or_were_touched_are_reused(
    root: Path, tmp_path: Path, happened: Callable[[Path], Path], fingerprint: str
) -> None:
    store = Store(tmp_path / "store")
    before = opened(root, store)
    first, twins = embed(store, before), duplicate_groups(before, store)
    assert [image.id for image in first.bad] == ["bad.png"]
    place, said, model = happened(root), Said(), Grey()
    after = opened(place, store, said, fingerprint=fingerprint)
    second = embed(store, after, model)
    assert (second.key, second.artifacts[0].reused, model.images) == (first.key, True, 0)
    assert duplicate_groups(after, store).tolist() == twins.tolist()
    assert after.locations[0].startswith(str(place))
    hashes = happened in (touch, copy, in_a_home_of_1970) or fingerprint == "content"
    assert said.lines == [
        "5 images are as before but for the time of change: the contents are the same, and what was made "
        "from them is reused"
    ] * ((hashes and happened is not move and happened is not mount) or fingerprint == "content")


def test_what_was_compared_is_not_read_again(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    embed(store, opened(root, store))
    images = opened(touch(root), store)
    settled = dict(zip(images.ids, images.fingerprints, strict=True))
    for path in root.rglob("*.ppm"):  # of no use any more, without showing it
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(OLD, status.st_mtime_ns))
    for limit in (None, 2):
        again = opened(root, store, limit=limit)
        assert all(settled[id_] == again.fingerprints[row] for row, id_ in enumerate(again.ids))


def test_the_other_order_and_a_store_that_forgot_are_right_as_well(root: Path, tmp_path: Path) -> None:
    """By contents first, then by time of change; and without what was remembered."""
    store = Store(tmp_path / "store")
    first = embed(store, opened(root, store, fingerprint="content"))
    second = embed(store, opened(root, store))
    assert second.key == first.key
    shutil.rmtree(store.layout.kinds / "contents")
    assert embed(store, opened(touch(root), store)).key == first.key


def test_another_gallery_of_the_same_names_sizes_and_times_is_told_apart(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = embed(store, opened(root, store))
    other = Path(shutil.copytree(root, tmp_path / "other"))
    for path in other.rglob("*.ppm"):
        status = path.stat()
        paint(path, 200)
        os.utime(path, ns=(OLD, status.st_mtime_ns))
    images = opened(other, store)
    second, model = embed(store, images), Grey()
    assert second.key != first.key
    assert (second.matrix[:, 0] > first.matrix[:, 0]).all()
    assert embed(store, opened(other, store), model).key == second.key
    assert embed(store, opened(root, store), model).key == first.key
    assert model.images == 0


def change(root: Path) -> None:
    paint(root / "a/1.ppm", 7)


def add(root: Path) -> None:
    paint(root / "new.ppm", 7)


def remove(root: Path) -> None:
    (root / "b/2.ppm").unlink()


def all_three(root: Path) -> None:
    for one in (change, add, remove):
        one(root)


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize(
    ("happened", "reason", "passes"),
    [
        (change, "1 image changed", 1),
        (add, "1 image added", 1),
        (remove, "1 image removed", 0),
        (all_three, "1 image changed, 1 added, 1 removed", 2),
    ],
)
def test_the_reason_says_what_really_changed(
    root: Path, tmp_path: Path, happened: Callable[[Path], None], reason: str, passes: int, touched: bool
) -> None:
    store = Store(tmp_path / "store")
    embed(store, opened(root, store))
    if touched:
        touch(root)
    happened(root)
    model = Grey()
    embeddings = embed(store, opened(root, store), model)
    assert (embeddings.artifacts[0].reason, model.images) == (reason, passes)


def test_shards_say_what_changed_in_them(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    embed(store, opened(root, store, shard_size=2))
    add(root)
    artifacts = embed(store, opened(touch(root), store, shard_size=2)).artifacts
    assert [artifact.reused for artifact in artifacts] == [True, True, False]
    assert artifacts[2].reason == "1 image added"


def test_another_gallery_is_not_compared(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    embed(store, opened(root, store))
    for number in range(9):
        paint(tmp_path / "other" / f"{number}.ppm", number)
    paint(tmp_path / "other/a/1.ppm", 99)
    (artifact,) = embed(store, opened(tmp_path / "other", store)).artifacts
    assert artifact.reason == FIRST_OF_ITS_KIND


def test_another_model_is_named_as_the_reason(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    embed(store, opened(root, store))
    (artifact,) = embed(store, opened(root, store), Grey(factor=2.0)).artifacts
    assert artifact.reason == "factor 1.0 → 2.0"


def test_parameters_that_do_nothing_leave_the_key(store: Store) -> None:
    images = grey_images([1, 2])
    plain = shard_recipe("embeddings", images, {"model": "grey", "factor": 1.0})
    assert (
        shard_recipe("embeddings", images, {"model": "grey", "factor": 1.0, "later": None}).key == plain.key
    )
    assert shard_recipe("embeddings", images, {"model": "grey", "factor": 1.0, "later": 3}).key != plain.key


def test_a_killed_build_keeps_the_hashes(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        embed(store, opened(root, store), Grey(fail_after=2), block_rows=1, batch_size=1, workers=1)
    first = embed(store, opened(root, store), block_rows=1, batch_size=1, workers=1)
    assert first.artifacts[0].facts["resumed"] > 0
    assert embed(store, opened(touch(root), store)).key == first.key


# --- tars --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("happened", [move, touch, copy, mount])
def test_tars_that_moved_or_were_touched_are_reused(tmp_path: Path, happened: Callable[[Path], Path]) -> None:
    for number in (0, 1):
        write_shard(tmp_path / "tars", number, [1, 2, 3])
    assert_reused(
        tmp_path, tmp_path / "tars", happened, lambda root: schemas.WebdatasetDataset(root=str(root))
    )


# --- Hugging Face, SBU Captions ----------------------------------------------------------------------------


@pytest.mark.parametrize("as_parquet", [False, True])
@pytest.mark.parametrize("happened", [move, touch, copy])
def test_hugging_face_datasets_that_moved_or_were_touched_are_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happened: Callable[[Path], Path], as_parquet: bool
) -> None:
    """Parquet is converted by the package, into a cache that has another name for another place."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    images = [{"bytes": jpeg(row), "path": None} for row in range(3)]
    data = datasets.Dataset.from_dict({"image": images}).cast_column("image", datasets.Image())
    (tmp_path / "data").mkdir()
    if as_parquet:
        data.to_parquet(tmp_path / "data/train-00000-of-00001.parquet")
    else:
        data.save_to_disk(tmp_path / "data")
    assert_reused(
        tmp_path, tmp_path / "data", happened, lambda root: schemas.HuggingfaceDataset(name_or_path=str(root))
    )


@pytest.mark.parametrize("happened", [move, touch, copy])
def test_photos_of_sbu_captions_that_moved_or_were_touched_are_reused(
    tmp_path: Path, happened: Callable[[Path], Path]
) -> None:
    root = tmp_path / "sbu"
    (root / "0000").mkdir(parents=True)
    for row in range(3):
        (root / f"0000/{row:03}.jpg").write_bytes(jpeg(row))
    (root / LINES_NAME).write_text("one\ntwo\nthree\n")
    assert_reused(tmp_path, root, happened, lambda place: schemas.SbuCaptionsDataset(root=str(place)))


def assert_reused(
    tmp_path: Path,
    root: Path,
    happened: Callable[[Path], Path],
    config: Callable[[Path], schemas.Dataset],
) -> None:
    store, model = Store(tmp_path / "store"), Grey()
    before = open_dataset(config(root), store=store)
    assert isinstance(before, ImageSet)
    first = embed(store, before)
    after = open_dataset(config(happened(root)), store=store)
    assert isinstance(after, ImageSet)
    assert embed(store, after, model).key == first.key
    assert model.images == 0


# --- ready vectors -----------------------------------------------------------------------------------------


def vectors_at(root: Path) -> VectorSet:
    vectors = open_dataset(schemas.EmbeddingsDataset(root=str(root)))
    assert isinstance(vectors, VectorSet)
    return vectors


def embed_vectors(store: Store, root: Path) -> Embeddings:
    return embed(store, vectors_at(root))  # type: ignore[arg-type]


@pytest.fixture(params=[1.0, 2.0], ids=["in place", "copied"])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two files, of unit length or of another."""
    (tmp_path / "vectors").mkdir()
    for number in (0, 1):
        rows = np.random.default_rng(number).standard_normal((20, 8)).astype(np.float32)
        rows *= request.param / np.linalg.norm(rows, axis=1, keepdims=True)
        np.save(tmp_path / "vectors" / f"v{number}.npy", rows)
    return tmp_path / "vectors"


@pytest.mark.parametrize("happened", [move, touch, copy, mount])
def test_vectors_that_moved_or_were_touched_are_reused(
    vectors: Path, tmp_path: Path, happened: Callable[[Path], Path]
) -> None:
    store = Store(tmp_path / "store")
    first = embed_vectors(store, vectors)
    matrix = first.matrix.copy()
    second = embed_vectors(store, happened(vectors))
    assert (second.key, second.artifacts[0].reused) == (first.key, True)
    np.testing.assert_array_equal(second.matrix, matrix)
    # A later look at the artifact alone finds the files where they are now.
    (artifact,) = store.artifacts("embeddings")
    np.testing.assert_array_equal(np.concatenate(open_vectors(artifact)), matrix)


def test_vectors_seen_at_two_places_are_found_at_either(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), tmp_path / "a"
    root.mkdir()
    np.save(root / "v.npy", np.eye(8, dtype=np.float32))
    embed_vectors(store, root)
    shutil.copytree(root, tmp_path / "b")
    embed_vectors(store, tmp_path / "b")
    (artifact,) = store.artifacts("embeddings")
    shutil.rmtree(root)
    np.testing.assert_array_equal(open_vectors(artifact)[0], np.eye(8))
    (artifact.path / PLACES).write_text("[1, 2")  # damaged: only the first place is known
    with pytest.raises(DatasetError, match=r"v\.npy, whose vectors are used in place, is gone"):
        open_vectors(artifact)


def test_a_changed_file_of_vectors_is_named(vectors: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    embed_vectors(store, vectors)
    np.save(vectors / "v1.npy", np.random.default_rng(9).standard_normal((20, 8)).astype(np.float32))
    (artifact,) = embed_vectors(store, vectors).artifacts
    assert artifact.reason == "v1.npy changed"
