"""Training pass by pass is FAISS's own training, with the threads that each part is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike.embed.embeddings import Embeddings
from lookalike.index.build import build_index
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.structure import blank_index, parts, seed_build, transforms
from lookalike.index.training import code_threads, train, useful_threads
from lookalike.machine.environment import threads
from lookalike.progress import Bar, Progress
from lookalike.store.store import Store
from tests.index.galleries import D, clustered

SAMPLE = clustered(700)
SEED = 5


class Watched(Progress):
    """Bars by name: how many steps they have and had, and how many threads FAISS had meanwhile."""

    def __init__(self) -> None:
        self.bars: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        seen = self.bars[description] = {"total": total, "done": 0, "threads": faiss.omp_get_max_threads()}

        class Counting(Bar):
            def advance(self, n: int = 1) -> None:
                seen["done"] += n

        yield Counting()

    def say(self, line: str) -> None:
        self.lines.append(line)


def trained_in_one_call(factory: str, metric: str) -> Any:
    index = blank_index(factory, D, metric)
    seed_build(index, SEED)
    for part in parts(index):
        if isinstance(part, faiss.IndexIVF):
            part.cp.max_points_per_centroid = 256
    rotations = [each for each in transforms(index) if isinstance(each, faiss.OPQMatrix)]
    quantisers = [faiss.ProductQuantizer(each.d_out, each.M, 8) for each in rotations]
    for rotation, quantiser in zip(rotations, quantisers, strict=True):
        quantiser.cp.seed = SEED
        rotation.pq = quantiser
    index.train(SAMPLE)
    for rotation in rotations:
        rotation.pq = None
    return index


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize(
    "factory",
    [
        *(
            "IVF8,Flat",
            "IVF8,PQ4x4np",
            "PCA8,IVF8,SQ8",
            "OPQ2_8,IVF8,PQ2x4np",
            "OPQ2_16,Flat",
            "IVF8_HNSW4,SQ8",
        ),
        *("RR16,IVF8,RaBitQ1,Refine(SQ8)", "IVF8,PQ8x4fs,Refine(PQ4x4)"),
    ],
)
def test_it_is_the_same_to_the_byte_as_one_call_of_faiss(factory: str, metric: str) -> None:
    index = blank_index(factory, D, metric)
    with threads(1):
        train(index, SAMPLE, SEED)
        expected = trained_in_one_call(factory, metric)
    assert index.is_trained
    assert np.array_equal(faiss.serialize_index(index), faiss.serialize_index(expected))


@pytest.mark.parametrize(
    ("rows", "centroids", "dimensions", "used"),
    [
        (65_536, 256, 4, 1),
        (65_536, 256, 18, 1),
        (16_384, 64, 32, 1),
        (300, 256, 256, 1),
        (16_384, 64, 1280, 8),
        (262_144, 1024, 128, 8),
        (10**9, 10**6, 1152, 8),
    ],
)
def test_threads_are_for_large_problems(rows: int, centroids: int, dimensions: int, used: int) -> None:
    assert useful_threads(rows, centroids, dimensions, 8) == used
    assert useful_threads(rows, centroids, dimensions, 1) == 1


@pytest.mark.parametrize(
    ("factory", "used"),
    [
        ("OPQ8_64,Flat", 1),
        ("IVF64,PQ8np", 1),
        ("IVF64,PQ8", 8),
        ("PCA32,SQ8", 8),
        ("IVF64,PQ8x4fs,Refine(SQ8)", 1),
        ("IVF64,Flat", 8),
        ("HNSW8_PQ8np", 1),
    ],
)
def test_codes_and_rotations_take_the_threads_of_the_smallest_clustering(factory: str, used: int) -> None:
    assert code_threads(blank_index(factory, 128, "l2"), 65_536, 8) == used


def test_each_part_has_its_own_threads_and_a_bar_that_is_filled() -> None:
    wide = np.random.default_rng(0).standard_normal((800, 1024), dtype=np.float32)
    index, progress = blank_index("IVF64,PQ4x4np", 1024, "l2"), Watched()
    with threads(3):
        train(index, wide, SEED, "it", progress)
        assert faiss.omp_get_max_threads() == 3
    assert progress.bars == {
        "training it: 64 lists": {"total": 10, "done": 10, "threads": 3},
        "training it": {"total": None, "done": 0, "threads": 1},
    }
    index, progress = blank_index("OPQ2_8,IVF8,PQ2x4np", D, "l2"), Watched()
    with threads(3):
        train(index, SAMPLE, SEED, "it", progress)
    rotation = progress.bars["training it: rotation"]
    assert (rotation["total"], rotation["threads"]) == (rotation["done"], 1)
    assert progress.bars["training it: 8 lists"]["threads"] == 1


def test_a_small_rotation_is_the_same_whatever_threads_there_are(tmp_path: Path) -> None:
    made = []
    for count in (1, 3):
        index = blank_index("OPQ2_8,IVF8,PQ2x4np", D, "l2")
        with threads(count):
            train(index, SAMPLE, SEED)
        made.append(faiss.serialize_index(index))
    assert np.array_equal(*made)


def test_threads_that_were_not_used_are_in_the_key_of_what_depends_on_them(tmp_path: Path) -> None:
    """Vectors are still rotated, and so added, with all threads: the key has both numbers."""
    store, gallery = Store(tmp_path), Embeddings.from_array(SAMPLE)

    def parameters(factory: str, count: int) -> dict[str, Any]:
        built = build_index(FactoryIndex(factory=factory, threads=count), gallery, store)
        assert built.index is not None
        found: dict[str, Any] = built.index.manifest["parameters"]
        return {name: value for name, value in found.items() if "threads" in name}

    assert parameters("OPQ2_8,IVF8,PQ2x4np", 1) == {"threads": 1}, "as it was"
    assert parameters("OPQ2_8,IVF8,PQ2x4np", 2) == {"threads": 2, "training_threads": 1}
    assert parameters("IVF8,PQ2x4np", 2) == {}, "whose bytes depend on no threads"
    assert parameters("PCA8,SQ8", 2) == {"threads": 2}


def test_a_codebook_that_takes_minutes_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 30.0])
    monkeypatch.setattr("lookalike.index.training.WORTH_AN_ESTIMATE", 1)
    monkeypatch.setattr("lookalike.index.training.time.perf_counter", lambda: next(ticks))
    progress = Watched()
    with threads(1):
        train(blank_index("PQ2x4np", D, "l2"), SAMPLE, SEED, "PQ2x4np", progress)
    assert progress.lines == ["training PQ2x4np: codes: about 25 minutes"]
