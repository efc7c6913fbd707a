"""Exact neighbours against hand-computed cases, float64 and a full sort of the gallery."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from faiss.contrib.evaluation import check_ref_knn_with_draws
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.embed.embeddings import Embeddings
from lookalike.errors import QueryError
from lookalike.evaluate.exact import Neighbours, exact_neighbours, fastest_knn, recomputed_scores
from lookalike.machine.environment import threads
from lookalike.progress import Bar, Progress
from lookalike.store.store import Store

METRICS = ("l2", "ip")


def in_shards(vectors: np.ndarray, cuts: list[int], key: str = "gallery") -> Embeddings:
    whole = Embeddings.from_array(vectors, key=key)
    return replace(whole, shards=tuple(np.split(whole.shards[0], cuts)))


def search(gallery: Embeddings, queries: np.ndarray, metric: str, depth: int) -> tuple[Neighbours, dict]:
    """Neighbours (in memory) and the artifact's facts, from a store of their own."""
    with tempfile.TemporaryDirectory() as root:
        found, artifact = exact_neighbours(
            gallery, Embeddings.from_array(queries, key="queries"), metric, depth, Store(Path(root))
        )
        return Neighbours(np.array(found.rows), np.array(found.scores)), dict(artifact.facts)


def sorted_gallery(gallery: Embeddings, queries: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The definition: all rows, by score, then by row."""
    rows = np.tile(np.arange(len(gallery)), (len(queries), 1))
    scores = recomputed_scores(gallery, queries, rows, metric)
    order = np.lexsort((rows, scores if metric == "l2" else -scores), axis=1)
    return order, np.take_along_axis(scores, order, axis=1)


def float64_scores(vectors: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    x, q = vectors.astype(np.float64), queries.astype(np.float64)
    products = q @ x.T
    return products if metric == "ip" else (q**2).sum(1)[:, None] + (x**2).sum(1) - 2 * products


def test_points_on_a_line_by_hand():
    gallery = in_shards(np.array([[3.0], [1.0], [-1.0], [1.0], [10.0]]), [2])
    found, _ = search(gallery, np.array([[0.0], [9.0]]), "l2", 4)
    assert found.rows.tolist() == [[1, 2, 3, 0], [4, 0, 1, 3]]
    assert found.scores.tolist() == [[1, 1, 1, 9], [1, 36, 64, 64]]
    found, _ = search(gallery, np.array([[2.0], [-1.0]]), "ip", 3)
    assert found.rows.tolist() == [[4, 0, 1], [2, 1, 3]]
    assert found.scores.tolist() == [[20, 6, 2], [1, -1, -1]]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("query_count", [3, 512])  # FAISS uses BLAS from queries × dim = 128,000 on
def test_float64_gives_the_same_up_to_ties(metric, query_count):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((700, 256)).astype(np.float32)
    vectors[300:340] = vectors[0]
    queries = rng.standard_normal((query_count, 256)).astype(np.float32)
    queries[0] = vectors[0]
    found, _ = search(in_shards(vectors, [1, 50, 50, 333]), queries, metric, 60)
    scores = float64_scores(vectors, queries, metric)
    sign = 1 if metric == "l2" else -1
    rows = np.argsort(sign * scores, axis=1, kind="stable")[:, :60]
    reference = np.take_along_axis(scores, rows, axis=1)
    # scores are shifted so that the relative tolerance means something next to a score of 0
    check_ref_knn_with_draws(sign * reference + 500, rows, sign * found.scores + 500, found.rows, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_gallery_full_of_duplicates_is_as_if_sorted(data):
    size, distinct = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 60))
    dim, depth = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    vectors = rng.standard_normal((distinct, dim)).astype(np.float32)[rng.integers(0, distinct, size)]
    queries = np.concatenate([vectors[:20], rng.standard_normal((5, dim)).astype(np.float32)])
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=4)))
    metric = data.draw(st.sampled_from(METRICS))
    gallery = in_shards(vectors, cuts)
    found, _ = search(gallery, queries, metric, depth)
    rows, scores = sorted_gallery(gallery, queries, metric)
    known = min(depth, size)
    np.testing.assert_array_equal(found.rows[:, :known], rows[:, :known])
    np.testing.assert_array_equal(found.scores[:, :known], scores[:, :known])
    assert (found.rows[:, known:] == -1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_hundreds_of_equal_vectors_give_ascending_rows(metric):
    vectors = np.ones((900, 8), np.float32)
    vectors[850] *= 2  # by inner product the best of all, by distance the worst
    queries = np.ones((300, 8), np.float32)
    found, facts = search(in_shards(vectors, [100, 101, 700]), queries, metric, 10)
    first = [850, *range(9)] if metric == "ip" else list(range(10))
    assert found.rows.tolist() == [first] * 300
    assert facts["second_pass_queries"] == 300


@pytest.mark.parametrize("metric", METRICS)
def test_distinct_vectors_need_no_second_pass(metric):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((3000, 64)).astype(np.float32)
    _, facts = search(in_shards(vectors, []), vectors[:40], metric, 20)
    assert facts == {"queries": 40, "gallery": 3000, "second_pass_queries": 0}


@pytest.mark.parametrize("spread", [0.01, 1.0, 1.5, 2.0])
def test_rounding_of_the_matrix_kernel_does_not_reach_the_answer(spread):
    rng = np.random.default_rng(2)
    vectors = (1000 + spread * rng.standard_normal((400, 512))).astype(np.float32)
    gallery, queries = in_shards(vectors, [123]), vectors[:300]
    naive = faiss.knn(queries, vectors, 5)[1]
    found, facts = search(gallery, queries, "l2", 5)
    rows, _ = sorted_gallery(gallery, queries, "l2")
    np.testing.assert_array_equal(found.rows, rows[:, :5])
    assert (naive != rows[:, :5]).any(), "the case is too easy to show anything"
    assert facts["second_pass_queries"] == 300


@pytest.mark.parametrize("metric", METRICS)
def test_threads_and_shards_change_nothing(metric):
    rng = np.random.default_rng(3)
    vectors = rng.integers(-2, 3, (1500, 6)).astype(np.float32)
    queries = rng.integers(-2, 3, (64, 6)).astype(np.float32)
    with threads(1):
        alone, _ = search(in_shards(vectors, []), queries, metric, 33)
    with threads(2):
        together, _ = search(in_shards(vectors, [700, 703]), queries, metric, 33)
    np.testing.assert_array_equal(alone.rows, together.rows)
    np.testing.assert_array_equal(alone.scores, together.scores)


def test_more_queries_than_one_block():
    vectors = np.arange(50, dtype=np.float32)[:, None]
    queries = np.tile(vectors, (100, 1))
    found, _ = search(in_shards(vectors, [20]), queries, "l2", 1)
    assert found.rows[:, 0].tolist() == list(range(50)) * 100


@pytest.mark.parametrize(("metric", "worst"), [("l2", np.inf), ("ip", -np.inf)])
def test_a_small_gallery_is_padded(metric, worst):
    found, _ = search(in_shards(np.eye(3), [1]), np.eye(3)[:1], metric, 5)
    assert found.rows.tolist() == [[0, 1, 2, -1, -1]]
    assert found.scores[0, 3:].tolist() == [worst, worst]
    assert (found.rows.dtype, found.scores.dtype, found.depth, len(found)) == (np.int64, np.float32, 5, 1)


@pytest.mark.parametrize(("metric", "worst"), [("l2", np.inf), ("ip", -np.inf)])
def test_recomputed_scores_of_given_rows(metric, worst):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((30, 1280)).astype(np.float32)
    gallery = in_shards(vectors, [4, 4, 19])
    rows = rng.integers(-1, 30, (6, 11))
    queries = rng.standard_normal((12, 1280)).astype(np.float32)[::2]  # not contiguous
    scores = recomputed_scores(gallery, queries, rows, metric)
    expected = np.take_along_axis(float64_scores(vectors, queries, metric), np.maximum(rows, 0), axis=1)
    np.testing.assert_allclose(scores, np.where(rows < 0, worst, expected), rtol=1e-5, atol=1e-4)
    assert scores.dtype == np.float32
    itself = recomputed_scores(gallery, vectors[5:6], np.array([[5]]), "l2")
    assert itself.tolist() == [[0.0]]


def test_the_store_is_asked_first(tmp_path):
    gallery = Embeddings.from_array(np.eye(4), key="g")
    queries = Embeddings.from_array(np.eye(4)[:2], key="q")
    first, built = exact_neighbours(gallery, queries, "l2", 2, Store(tmp_path))
    again, reused = exact_neighbours(gallery, queries, "l2", 2, Store(tmp_path))
    assert (built.reused, reused.reused) == (False, True)
    np.testing.assert_array_equal(first.rows, again.rows)
    others = [
        exact_neighbours(gallery, queries, "ip", 2, Store(tmp_path)),
        exact_neighbours(gallery, queries, "l2", 3, Store(tmp_path)),
        exact_neighbours(gallery, replace(queries, keys=("r",)), "l2", 2, Store(tmp_path)),
        exact_neighbours(replace(gallery, keys=("h",)), queries, "l2", 2, Store(tmp_path)),
    ]
    assert not any(artifact.reused for _, artifact in others)
    assert len({built.key, *(artifact.key for _, artifact in others)}) == 5


def test_what_the_version_stands_for():
    """Change EXACT_VERSION when this has to change."""
    vectors = np.sin(np.arange(60, dtype=np.float32)).reshape(20, 3)
    found, _ = search(in_shards(vectors, [7]), vectors[:2] + 0.5, "l2", 3)
    assert found.rows.tolist() == [[19, 0, 17], [7, 5, 9]]
    np.testing.assert_allclose(found.scores, [[0.722, 0.75, 1.182], [0.250, 0.254, 0.420]], atol=1e-3)


def test_impossible_requests(tmp_path):
    gallery = Embeddings.from_array(np.eye(4))
    with pytest.raises(QueryError, match=r"3 dimensions and the gallery has 4; .* same model"):
        exact_neighbours(gallery, Embeddings.from_array(np.eye(3)), "l2", 1, Store(tmp_path))
    with pytest.raises(ValueError, match="depth is 0"):
        exact_neighbours(gallery, gallery, "l2", 0, Store(tmp_path))


class CountingBar(Bar):
    def __init__(self, total: int) -> None:
        self.left = total

    def advance(self, n: int = 1) -> None:
        self.left -= n


class CountingProgress(Progress):
    def __init__(self) -> None:
        self.bars: list[CountingBar] = []

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        self.bars.append(CountingBar(total or 0))
        yield self.bars[-1]


def test_bars_end_full(tmp_path):
    gallery = in_shards(np.ones((200, 4), np.float32), [90])
    queries = Embeddings.from_array(np.ones((30, 4)), key="q")
    progress = CountingProgress()
    exact_neighbours(gallery, queries, "l2", 2, Store(tmp_path), progress=progress)
    assert [bar.left for bar in progress.bars] == [0, 0]


# --- on a GPU ----------------------------------------------------------------------------------------------


class FaissWithGpu:
    """FAISS as faiss-gpu would be, its one GPU played by the processor."""

    def __init__(self, gpus: int = 1) -> None:
        self.gpus = gpus
        self.blocks_on_gpu: list[int] = []
        self.knn = faiss.knn

    def get_num_gpus(self) -> int:
        return self.gpus

    def StandardGpuResources(self) -> str:
        return "resources"

    def knn_gpu(
        self, resources: str, queries: np.ndarray, block: np.ndarray, k: int, metric: int
    ) -> tuple[np.ndarray, np.ndarray]:
        assert resources == "resources"
        self.blocks_on_gpu.append(len(block))
        scores, rows = faiss.knn(queries, block, k, metric)
        # another order of summation: the last digits differ, as a GPU's would
        return scores * np.float32(1 + 2**-23), rows


@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_finds_the_candidates_and_changes_nothing(metric, tmp_path):
    rng = np.random.default_rng(5)
    vectors = rng.integers(-2, 3, (1500, 6)).astype(np.float32)  # full of ties
    gallery = in_shards(vectors, [700])
    queries = Embeddings.from_array(vectors[::50], key="q")
    library = FaissWithGpu()
    on_gpu, _ = exact_neighbours(gallery, queries, metric, 33, Store(tmp_path / "gpu"), library=library)
    assert library.blocks_on_gpu == [700, 800]
    here, _ = exact_neighbours(gallery, queries, metric, 33, Store(tmp_path / "cpu"))
    np.testing.assert_array_equal(on_gpu.rows, here.rows)
    np.testing.assert_array_equal(on_gpu.scores, here.scores)


def test_more_candidates_than_a_gpu_can_select_are_found_here(tmp_path):
    vectors = np.random.default_rng(6).standard_normal((2100, 2)).astype(np.float32)
    library = FaissWithGpu()
    queries = Embeddings.from_array(vectors[:3], key="q")
    found, _ = exact_neighbours(in_shards(vectors, []), queries, "l2", 2050, Store(tmp_path), library=library)
    assert library.blocks_on_gpu == []
    np.testing.assert_array_equal(found.rows[:, 0], [0, 1, 2])


def test_without_a_gpu_it_is_the_processor_s():
    assert fastest_knn(100, FaissWithGpu(gpus=0)) is faiss.knn
    assert fastest_knn(100, FaissWithGpu(gpus=1)) is not faiss.knn
