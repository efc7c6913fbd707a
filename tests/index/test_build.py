from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike import schemas
from lookalike.embed.embeddings import Embeddings
from lookalike.errors import IndexingError, StoreError
from lookalike.evaluate.exact import recomputed_scores
from lookalike.evaluate.points import expand_points
from lookalike.index.build import (
    INDEX_VERSION,
    TRAINED_FILE,
    TRAINED_VERSION,
    build_index,
)
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.families.opq_ivf_pq import OpqIvfPqIndex
from lookalike.index.files import write_index
from lookalike.index.searchers import BruteForceSearcher, load_index
from lookalike.index.training import draw_sample
from lookalike.progress import Bar, Progress
from lookalike.store.store import Store
from tests.index.galleries import D, clustered, families, sharded

GALLERY = clustered(900)
QUERIES = clustered(60, seed=1)
IVF = IvfFlatIndex(nlist=8, threads=1, point={"nprobe": 8})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("position", range(10))
def test_every_family_finds_most_neighbours(position: int, metric: str, store: Store) -> None:
    config, gallery = families(metric)[position], sharded(GALLERY, 100, 700)
    built = build_index(config, gallery, store)
    searcher = load_index(config, built, gallery)
    (point,), notices = expand_points(schemas.Search(k=10), config)
    scores, rows = searcher.search(QUERIES, 10, point.as_dict())

    _, exact = BruteForceSearcher([GALLERY], metric).search(QUERIES, 10, {})
    recall = np.mean([len(set(found) & set(true)) / 10 for found, true in zip(rows, exact, strict=True)])
    assert recall > (0.5 if config.family in ("ivf_pq", "opq_ivf_pq") else 0.9)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64
    assert rows.shape == (60, 10)
    steps = np.diff(scores, axis=1)
    assert (steps >= 0).all() if metric == "l2" else (steps <= 0).all()
    if config.family in ("flat", "ivf_flat", "hnsw"):
        np.testing.assert_allclose(scores, recomputed_scores(gallery, QUERIES, rows, metric), atol=1e-5)
    assert notices == []
    assert built.index_bytes > 0
    assert searcher.load_seconds >= 0


def test_brute_force_builds_nothing(store: Store) -> None:
    built = build_index(BruteForceIndex(), Embeddings.from_array(GALLERY), store)
    assert (built.index, built.trained, built.factory) == (None, None, "")
    assert (built.index_bytes, built.build_seconds) == (GALLERY.nbytes, 0.0)
    assert not list(store.artifacts())


def test_costs_are_those_of_the_build_also_when_reused(store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    first, again = (build_index(IVF, gallery, store) for _ in range(2))
    assert first.index is not None
    assert again.index is not None
    assert (first.index.reused, again.index.reused) == (False, True)
    assert first.index.key == again.index.key
    assert (again.train_seconds, again.add_seconds, again.save_seconds) == (
        first.train_seconds,
        first.add_seconds,
        first.save_seconds,
    )
    assert first.train_seconds > 0
    assert first.build_seconds == first.train_seconds + first.add_seconds
    assert first.index_bytes == first.index.file("index.faiss").stat().st_size > GALLERY.nbytes


def test_flat_has_no_training_artifact(store: Store) -> None:
    built = build_index(FlatIndex(), Embeddings.from_array(GALLERY), store)
    assert built.trained is None
    assert [artifact.kind for artifact in store.artifacts()] == ["index"]


def test_changing_nlist_says_so_and_changing_what_is_irrelevant_does_nothing(store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    build_index(IVF, gallery, store)
    other = build_index(replace(IVF, nlist=16), gallery, store)
    assert other.index is not None
    assert other.index.reason.startswith("nlist 8 → 16")

    same = [
        replace(IVF, threads=2, mmap=True, point={}, ladder={"nprobe": [1]}),
        FactoryIndex(factory="IVF8,Flat"),
    ]
    for config in same:
        built = build_index(config, gallery, store)
        assert built.index is not None
        assert built.index.reused


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"metric": "ip"}, {"train_size": 500}, {"nlist": 9}],
    ids=lambda change: next(iter(change)),
)
def test_what_shapes_an_index_shapes_its_key(change: dict[str, Any], store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    first, other = (build_index(config, gallery, store).index for config in (IVF, replace(IVF, **change)))
    assert first is not None
    assert other is not None
    assert first.key != other.key


def test_the_seed_of_a_flat_index_means_nothing(store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    build_index(FlatIndex(seed=1), gallery, store)
    built = build_index(FlatIndex(seed=2), gallery, store)
    assert built.index is not None
    assert built.index.reused


def test_rotations_depend_on_threads(store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    config = FactoryIndex(factory="PCA8,Flat", threads=1)
    build_index(config, gallery, store)
    built = build_index(replace(config, threads=2), gallery, store)
    assert built.index is not None
    assert built.index.reason.startswith("threads 1 → 2")


def test_another_gallery_is_another_index(store: Store) -> None:
    build_index(IVF, Embeddings.from_array(GALLERY, key="a"), store)
    built = build_index(IVF, Embeddings.from_array(GALLERY, key="b"), store)
    assert built.index is not None
    assert built.index.reason.startswith("new embeddings")


@pytest.mark.parametrize("position", range(1, 10))
def test_same_bytes_again_and_other_bytes_by_another_seed(position: int, tmp_path: Path) -> None:
    config = families()[position]
    seeds = (1, 1, 2)
    contents = []
    for number, seed in enumerate(seeds):
        built = build_index(replace(config, seed=seed), sharded(GALLERY, 300), Store(tmp_path / str(number)))
        assert built.index is not None
        contents.append(built.index.file("index.faiss").read_bytes())
    assert contents[0] == contents[1]
    assert (contents[0] != contents[2]) == (config.family != "flat")


def test_rebuilding_the_index_does_not_train_again(tmp_path: Path) -> None:
    gallery = Embeddings.from_array(GALLERY)
    first = build_index(IVF, gallery, Store(tmp_path))
    again = build_index(IVF, gallery, Store(tmp_path, reuse=["trained"]))
    assert first.trained is not None
    assert again.index is not None
    assert not again.index.reused
    assert again.train_seconds == first.train_seconds


def test_a_few_training_vectors_make_one_notice(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    config = OpqIvfPqIndex(nlist=8, pq_m=8, pq_bits=8, threads=1)
    gallery = Embeddings.from_array(clustered(300))
    built = build_index(config, gallery, store)
    assert len(built.notices) == 1
    assert "300 training vectors are few for 256 centroids (FAISS advises 9,984)" in built.notices[0]
    assert build_index(config, gallery, store).notices == built.notices
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (IvfFlatIndex(nlist=64), "index.nlist needs 64 centroids and the gallery has 40 vectors"),
        (FactoryIndex(factory="IVF64,Flat"), "index.factory needs 64 centroids"),
        (FactoryIndex(factory="PQ4x8"), "index.factory needs 256 centroids and the gallery has 40"),
        (FactoryIndex(factory="OPQ4,Flat"), "index.factory needs 256 centroids and the gallery has"),
        (FactoryIndex(factory="IVF4,PQ3"), "should be a multiple"),
    ],
)
def test_impossible_indexes_leave_nothing_behind(config: schemas.Index, words: str, store: Store) -> None:
    with pytest.raises(IndexingError, match=words):
        build_index(config, Embeddings.from_array(clustered(40)), store)
    assert not list(store.artifacts())


def test_all_of_a_chosen_sample_is_used(store: Store) -> None:
    config = IvfFlatIndex(nlist=1, train_size=600, threads=1)
    built = build_index(config, Embeddings.from_array(GALLERY), store)
    assert built.trained is not None
    index = faiss.read_index(str(built.trained.file(TRAINED_FILE)))
    sample = draw_sample(Embeddings.from_array(GALLERY), 600, config.seed)
    # The one centroid is the mean of the sample; FAISS alone would have taken 256 of the 600.
    np.testing.assert_allclose(index.quantizer.reconstruct(0), sample.mean(axis=0), atol=1e-5)


def test_samples_are_seeded_and_without_repetition() -> None:
    numbered = np.repeat(np.arange(100, dtype=np.float32)[:, None], D, axis=1)
    sample = draw_sample(sharded(numbered, 10, 10, 55), 30, 5)
    rows = sample[:, 0]
    assert len(set(rows)) == 30
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(sample, draw_sample(Embeddings.from_array(numbered), 30, 5))
    assert (rows != draw_sample(Embeddings.from_array(numbered), 30, 6)[:, 0]).any()
    np.testing.assert_array_equal(draw_sample(Embeddings.from_array(numbered), 100, 5), numbered)


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    index = faiss.index_factory(D, "Flat")
    index.add(GALLERY)
    with pytest.raises(OSError, match="No space left") as caught:
        write_index(index, Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(IndexingError, match=r"index\.faiss cannot be written \(No such file"):
        write_index(index, tmp_path / "missing" / "index.faiss")


class _Interrupting(Progress):
    """Ctrl-C after the first block of the bar with this name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        yield Bar()
        if description.startswith(self.name):
            raise KeyboardInterrupt


@pytest.mark.parametrize("stage", ["training", "indexing", "writing"])
def test_ctrl_c_publishes_nothing_half_done(stage: str, store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    with pytest.raises(KeyboardInterrupt):
        build_index(IVF, gallery, store, _Interrupting(stage))
    assert [artifact.kind for artifact in store.artifacts("index")] == []
    built = build_index(IVF, gallery, store)
    assert built.index is not None
    assert built.index.file("index.faiss").stat().st_size == built.index_bytes


def test_an_index_of_another_gallery_is_refused(store: Store) -> None:
    built = build_index(IVF, Embeddings.from_array(GALLERY), store)
    with pytest.raises(IndexingError, match=r"build it again with store\.reuse=false"):
        load_index(IVF, built, Embeddings.from_array(GALLERY[:-1]))


def test_garbage_is_no_index(store: Store, tmp_path: Path) -> None:
    built = build_index(IVF, Embeddings.from_array(GALLERY), store)
    (tmp_path / "index.faiss").write_bytes(b"garbage" * 99)
    broken = SimpleNamespace(file=lambda name: tmp_path / name)
    with pytest.raises(IndexingError, match=r"FAISS cannot read index\.faiss: Index type"):
        load_index(IVF, replace(built, index=broken), Embeddings.from_array(GALLERY))  # type: ignore[arg-type]


def test_a_damaged_index_is_built_again(store: Store) -> None:
    gallery = Embeddings.from_array(GALLERY)
    built = build_index(IVF, gallery, store)
    assert built.index is not None
    built.index.file("index.faiss").write_bytes(b"garbage")
    again = build_index(IVF, gallery, store)
    assert again.index is not None
    assert not again.index.reused
    assert len(load_index(IVF, again, gallery).search(QUERIES, 3, {"nprobe": 8})[1]) == 60


def test_full_disk_while_publishing_is_a_user_error(store: Store) -> None:
    class FullDisk(Progress):
        @contextmanager
        def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
            yield Bar()
            if description.startswith("writing"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match="full"):
        build_index(IVF, Embeddings.from_array(GALLERY), store, FullDisk())
    assert not list(store.artifacts("index"))


def test_what_a_version_produces(store: Store) -> None:
    """When this changes on purpose, raise TRAINED_VERSION or INDEX_VERSION beside the new digest."""
    corners = np.eye(4, D, dtype=np.float32)
    vectors = np.repeat(corners, 50, axis=0) + 0.01 * clustered(200)
    built = build_index(IvfFlatIndex(nlist=4, threads=1), Embeddings.from_array(vectors), store)
    assert built.index is not None
    index = faiss.read_index(str(built.index.file("index.faiss")))
    centroids = index.quantizer.reconstruct_n(0, 4)
    rows = [faiss.rev_swig_ptr(index.invlists.get_ids(number), 50).tolist() for number in range(4)]
    content = json.dumps([np.round(centroids, 1).tolist(), rows]).replace("-0.0", "0.0")
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    assert (TRAINED_VERSION, INDEX_VERSION, digest) == (1, 1, "4f81fc34ecf2de8f")
