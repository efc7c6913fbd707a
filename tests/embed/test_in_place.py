"""Ready vectors that are searched where they lie: not copied, not stale, given back, and used by all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.datasets import open_dataset
from lookalike.datasets.sets import VectorSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.shards import READ_ROWS, VECTORS, open_vectors
from lookalike.errors import DatasetError
from lookalike.evaluate.exact import exact_neighbours
from lookalike.export.exporting import export_run
from lookalike.index.build import build_index
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.serving import serving_memory
from lookalike.runs.opener import open_finished
from lookalike.schemas import EmbeddingsDataset, InGalleryQueries, PixelsModel
from lookalike.store.store import Store
from tests.runs.runs import finished


def unit_vectors(rows: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def opened(root: Path, **options: Any) -> VectorSet:
    vectors = open_dataset(EmbeddingsDataset(root=str(root), **options))
    assert isinstance(vectors, VectorSet)
    return vectors


def embed(store: Store, vectors: VectorSet) -> Embeddings:
    return Embedder(open_model(PixelsModel()), store).embed(vectors)


def in_place(embeddings: Embeddings) -> list[bool]:
    """Whether each artifact does without vectors of its own, as it says."""
    for artifact in embeddings.artifacts:
        assert (VECTORS in artifact.manifest["files"]) != bool(artifact.facts.get("in_place"))
    return [bool(artifact.facts.get("in_place")) for artifact in embeddings.artifacts]


def resident_bytes(path: Path) -> int:
    """Memory in which this process holds pages of a file."""
    resident, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            ours = line.endswith(f" {path}")
        elif ours and name == "Rss:":
            resident += int(rest[0]) * 1024
    return resident


# --- when --------------------------------------------------------------------------------------------------


def test_unit_vectors_are_not_copied(store: Store, tmp_path: Path) -> None:
    array = unit_vectors(50)
    np.save(tmp_path / "v.npy", array)
    for _ in range(2):  # built, then reused
        embeddings = embed(store, opened(tmp_path / "v.npy"))
        assert in_place(embeddings) == [True]
        np.testing.assert_array_equal(embeddings.matrix, array)
        assert (len(embeddings), embeddings.dim, list(embeddings.ids)[:2]) == (50, 8, ["0", "1"])
    assert embeddings.artifacts[0].reused


def test_vectors_of_any_length_stay_where_they_need_not_be_scaled(store: Store, tmp_path: Path) -> None:
    array = 3 * unit_vectors(50)
    np.save(tmp_path / "v.npy", array)
    assert in_place(embed(store, opened(tmp_path / "v.npy"))) == [True]
    scaled = embed(store, opened(tmp_path / "v.npy", normalize=True))
    assert in_place(scaled) == [False]
    np.testing.assert_allclose(scaled.matrix, array / 3, rtol=1e-6)


def test_one_vector_that_is_too_long_has_its_shard_converted(store: Store, tmp_path: Path) -> None:
    array = unit_vectors(50)
    array[49] *= 1.001
    np.save(tmp_path / "v.npy", array)
    embeddings = embed(store, opened(tmp_path / "v.npy", shard_size=20, normalize=True))
    assert in_place(embeddings) == [True, True, False]
    np.testing.assert_allclose(np.linalg.norm(embeddings.matrix, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types_are_converted(store: Store, tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "v.npy", unit_vectors(50).astype(dtype))
    embeddings = embed(store, opened(tmp_path / "v.npy"))
    assert in_place(embeddings) == [False]
    assert embeddings.matrix.dtype == np.float32


def test_a_sample_is_copied_because_its_rows_lie_apart(store: Store, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", unit_vectors(50))
    sample = opened(tmp_path / "v.npy", limit=10)
    embeddings = embed(store, sample)
    assert in_place(embeddings) == [False]
    rows = [int(id_) for id_ in embeddings.ids]
    np.testing.assert_allclose(embeddings.matrix, unit_vectors(50)[rows], rtol=1e-6)


@pytest.mark.parametrize("shard_size", [1, 7, 30, 35, 100])
def test_shards_need_not_end_where_files_do(store: Store, tmp_path: Path, shard_size: int) -> None:
    (tmp_path / "vectors").mkdir()
    arrays = [unit_vectors(rows, seed=rows) for rows in (30, 5, 1, 20)]
    for number, array in enumerate(arrays):
        np.save(tmp_path / "vectors" / f"{number}.npy", array)
    embeddings = embed(store, opened(tmp_path / "vectors", shard_size=shard_size))
    assert all(in_place(embeddings))
    assert len(embeddings.keys) == len(embeddings.artifacts) == -(-56 // shard_size)
    np.testing.assert_array_equal(np.concatenate(embeddings.shards), np.concatenate(arrays))
    scattered = np.array([55, 0, 30, 35, 29])
    np.testing.assert_array_equal(embeddings.rows(scattered), np.concatenate(arrays)[scattered])


# --- what else reads the vectors ---------------------------------------------------------------------------


def test_brute_force_serves_just_the_rows_that_are_searched(store: Store, tmp_path: Path) -> None:
    """A file of 64 MB of which 1 MB is searched: the serving process maps no more."""
    np.save(tmp_path / "v.npy", unit_vectors(250_000, 64))
    part = opened(tmp_path / "v.npy").take(range(200_000, 204_000))
    gallery = embed(store, part)
    assert in_place(gallery) == [True]
    index = BruteForceIndex()
    facts = serving_memory(index, build_index(index, gallery, store), gallery, store).facts
    assert facts["serving_memory_bytes"] < 16e6


def test_a_finished_run_is_opened_searched_and_exported(tmp_path: Path) -> None:
    array = unit_vectors(60)
    np.save(tmp_path / "v.npy", array)
    dataset = EmbeddingsDataset(root=str(tmp_path / "v.npy"), shard_size=25)
    finished(tmp_path, tmp_path, dataset=dataset, queries=InGalleryQueries(n=5), index=BruteForceIndex())
    run = open_finished("outputs/run", tmp_path)
    assert in_place(run.vectors) == [True, True, True]
    _, rows = run.searcher.search(array[[40]], 1, {})
    assert rows.tolist() == [[40]]
    export_run(run, tmp_path / "exported")
    np.testing.assert_array_equal(np.load(tmp_path / "exported" / VECTORS), array)


# --- a source that changes ---------------------------------------------------------------------------------


def test_a_changed_source_is_another_gallery(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "v.npy"
    np.save(file, unit_vectors(50))
    before = embed(store, opened(file))
    np.save(file, unit_vectors(50, seed=1))
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    after = embed(store, opened(file))
    assert after.key != before.key
    np.testing.assert_array_equal(after.matrix, unit_vectors(50, seed=1))


def remove(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def rewrite(file: Path) -> None:
    then = file.stat().st_mtime_ns
    np.save(file, unit_vectors(50, seed=1))
    os.utime(file, ns=(then + 1, then + 1))


@pytest.mark.parametrize(
    ("change", "said"), [(remove, "is gone"), (cut_short, "has changed"), (rewrite, "has changed")]
)
def test_a_source_that_is_no_longer_what_was_checked_is_an_error(
    store: Store, tmp_path: Path, change: Any, said: str
) -> None:
    file = tmp_path / "v.npy"
    np.save(file, unit_vectors(50))
    [artifact] = embed(store, opened(file)).artifacts
    change(file)
    with pytest.raises(DatasetError, match=rf"v\.npy, whose vectors are used in place, {said}.*run the exp"):
        open_vectors(artifact)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_that_nothing_can_rank_is_named_and_nothing_is_published(
    store: Store, tmp_path: Path, value: float
) -> None:
    array = unit_vectors(READ_ROWS + 10, 2)
    array[READ_ROWS + 5] = value
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(DatasetError, match=rf"v\.npy, row {READ_ROWS + 5}\b"):
        embed(store, opened(tmp_path / "v.npy", normalize=True))
    assert list(store.artifacts()) == []


# --- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_checking_converting_and_searching_give_their_pages_back(
    store: Store, tmp_path: Path, dtype: str
) -> None:
    array = unit_vectors(100_000, 64)
    np.save(tmp_path / "v.npy", array.astype(dtype))
    gallery = embed(store, opened(tmp_path / "v.npy"))
    assert in_place(gallery) == [dtype == "float32"]
    source = (tmp_path / "v.npy").resolve()
    searched = source if dtype == "float32" else gallery.artifacts[0].file(VECTORS).resolve()
    assert resident_bytes(source) < 2e6
    assert gallery.matrix.sum() != 0
    assert resident_bytes(searched) > 20e6, "or the measurement shows nothing"
    exact_neighbours(gallery, Embeddings.from_array(array[:40], key="q"), "l2", 5, store)
    gallery.rows(np.arange(0, 100_000, 1000))
    assert resident_bytes(searched) < 2e6
