"""Ready vectors are searched as they are: what is found is what numpy finds in the file's own numbers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from lookalike.datasets import source_of
from lookalike.datasets.formats.formats import open_vector_file
from lookalike.datasets.treatment import sampled_lengths
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.exact import exact_neighbours
from lookalike.queries import plan_queries
from lookalike.schemas import EmbeddingsDataset, VectorsQueries
from lookalike.store.store import Store
from tests.datasets.vector_worlds import (
    WRITERS,
    opened,
    random_vectors,
    write_bin,
    write_csv,
    write_index,
    write_vecs,
    written,
)
from tests.embed.grey import Grey

K = 5
INTEGERS = {
    "bvecs": ("v.bvecs", write_vecs, np.uint8),
    "u8bin": ("v.u8bin", write_bin, np.uint8),
    "i8bin": ("v.i8bin", write_bin, np.int8),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def of_many_lengths(rows: int = 60, dim: int = 6, seed: int = 0) -> np.ndarray:
    """Vectors whose nearest by distance, inner product and cosine are others."""
    drawn = random_vectors(rows, dim, seed)
    lengths = np.random.default_rng([seed, 1]).uniform(0.5, 8, (rows, 1)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True) * lengths


def nearest(gallery: np.ndarray, queries: np.ndarray, metric: str) -> list[list[int]]:
    """By plain numpy, in float64; ``cosine`` is a metric here."""
    wide, asked = gallery.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    costs = ((asked[:, None] - wide[None]) ** 2).sum(axis=2) if metric == "l2" else -asked @ wide.T
    found: list[list[int]] = np.argsort(costs, axis=1, kind="stable")[:, :K].tolist()
    return found


def found_in(root: Path, queries: Path, metric: str, store: Store, **options: object) -> list[list[int]]:
    """What a run finds exactly: gallery and queries as a run opens and embeds them."""
    plan = plan_queries(VectorsQueries(file=str(queries)), opened(root, **options))
    embedder = Embedder(Grey(), store)
    gallery, asked = embedder.embed(plan.gallery), embedder.embed(plan.queries, "queries")
    found: list[list[int]] = exact_neighbours(gallery, asked, metric, K, store)[0].rows.tolist()
    return found


@pytest.mark.parametrize("kind", [*sorted(WRITERS), *INTEGERS])
def test_vectors_of_every_format_are_searched_as_they_are(kind: str, tmp_path: Path, store: Store) -> None:
    if kind in INTEGERS:
        name, write, dtype = INTEGERS[kind]
        array = (of_many_lengths() * 14).astype(np.int8 if dtype == np.int8 else np.uint8)
        write(tmp_path / name, array)
        file = tmp_path / name
    else:
        array = of_many_lengths()
        file = written(kind, tmp_path, array)
    asked = of_many_lengths(9, seed=5)
    np.save(tmp_path / "queries.npy", asked)
    by_cosine = nearest(array, asked, "cosine")
    for metric in ("l2", "ip"):
        expected = nearest(array, asked, metric)
        assert expected != by_cosine, "these vectors have to tell the metrics apart"
        assert found_in(file, tmp_path / "queries.npy", metric, store) == expected
        scaled = found_in(file, tmp_path / "queries.npy", metric, store, normalize=True)
        assert scaled == by_cosine, "dataset.normalize=true compares by cosine"


@pytest.mark.parametrize(("distance", "metric"), [("angular", "cosine"), ("dot", "ip")])
def test_a_file_that_says_what_it_compares_by_is_searched_so(
    distance: str, metric: str, tmp_path: Path, store: Store
) -> None:
    array, asked = of_many_lengths(), of_many_lengths(9, seed=5)
    file = written("hdf5", tmp_path, array)
    with h5py.File(file, "a") as root:
        root.attrs["distance"] = distance
    np.save(tmp_path / "queries.npy", asked)
    by = "ip" if metric == "ip" else "l2"
    assert found_in(file, tmp_path / "queries.npy", by, store) == nearest(array, asked, metric)


# --- notices -----------------------------------------------------------------------------------------------


def notices(root: Path, metric: str = "l2", **options: object) -> list[str]:
    return source_of(EmbeddingsDataset(root=str(root), **options)).notices(metric)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["npy", "npz", "packed npz", "fvecs", "fbin", "packed hdf5", "csv"])
def test_vectors_of_many_lengths_are_pointed_out_with_the_line_for_cosine(kind: str, tmp_path: Path) -> None:
    file = written(kind, tmp_path, of_many_lengths())
    [notice] = notices(file)
    assert "searched as they are, by distance (index.metric=l2)" in notice
    assert "add dataset.normalize=true" in notice
    assert "by inner product" in notices(file, "ip")[0]
    assert notices(file, normalize=True) == notices(file, normalize=False) == [], "the user has said it"


@pytest.mark.parametrize("length", [1, 10])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_of_one_length_need_no_word(length: float, dtype: type, tmp_path: Path) -> None:
    array = random_vectors(300, 32)
    array *= length / np.linalg.norm(array, axis=1, keepdims=True)
    np.save(tmp_path / "v.npy", array.astype(dtype))
    assert notices(tmp_path) == []
    array[7] = 0
    np.save(tmp_path / "v.npy", array.astype(dtype))
    assert notices(tmp_path) == [], "a zero vector has no length to differ in"


def test_a_file_for_another_metric_is_pointed_out(tmp_path: Path) -> None:
    import faiss

    file = written("hdf5", tmp_path, of_many_lengths())
    with h5py.File(file, "a") as root:
        root.attrs["distance"] = "ip"
    assert notices(file, "ip") == []
    [notice] = notices(file, "l2")
    assert notice.endswith("index.metric=ip compares by its own")
    index = faiss.IndexFlatIP(6)
    index.add(of_many_lengths())
    faiss.write_index(index, str(tmp_path / "v.faiss"))
    assert "v.faiss is for the distance ip" in notices(tmp_path / "v.faiss", "l2")[0]
    write_index(tmp_path / "w.faiss", of_many_lengths())
    assert notices(tmp_path / "w.faiss", "l2") == []
    odd = faiss.IndexFlat(6, faiss.METRIC_L1)
    odd.add(of_many_lengths())
    faiss.write_index(odd, str(tmp_path / "odd.faiss"))
    assert "which is not measured here" in opened(tmp_path / "odd.faiss").notices[0]


def test_float64_is_said_to_be_rounded(tmp_path: Path) -> None:
    for part in range(2):
        np.save(tmp_path / f"v_{part}.npy", random_vectors().astype(np.float64) + 40 * part)
    assert opened(tmp_path).notices == (
        "2 files, v_0.npy for one, hold float64, rounded to float32 to be searched",
    )
    assert opened(tmp_path / "v_1.npy").notices[0].startswith("v_1.npy holds float64")


def test_a_sample_of_lengths_is_small_and_of_all_files(tmp_path: Path) -> None:
    arrays = [np.full((1_000, 4), size, np.float32) for size in (1, 2, 3)]
    lengths = sampled_lengths(arrays)
    assert 3 <= len(lengths) <= 256
    assert set(lengths.tolist()) == {2.0, 4.0, 6.0}
    assert sampled_lengths(arrays).tolist() == lengths.tolist(), "seeded"
    assert len(sampled_lengths([np.ones((2, 1 << 20), np.float16)])) <= 2
    assert sampled_lengths([np.array([[1e300, 1e300]])]).tolist() == [np.inf]


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_a_compressed_array_the_first_rows_are_unpacked(order: str, tmp_path: Path) -> None:
    array = np.asarray(of_many_lengths(5_000), order=order)  # type: ignore[call-overload]
    np.savez_compressed(tmp_path / "v.npz", vectors=array)
    rows = open_vector_file(tmp_path / "v.npz").rows
    lengths = sampled_lengths([rows])
    np.testing.assert_allclose(lengths, np.linalg.norm(array[: len(lengths)], axis=1), rtol=1e-6)
    assert rows._whole is None, "nothing stays in memory"  # type: ignore[attr-defined]


def test_a_damaged_row_is_left_to_the_run_that_reads_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", of_many_lengths(20))
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("[", "[x", 1))
    assert notices(tmp_path / "v.csv") == []


# --- what is kept of it ------------------------------------------------------------------------------------


def embedded(array: np.ndarray, folder: Path, store: Store, **options: object) -> Embeddings:
    np.save(folder / "v.npy", array)
    return Embedder(Grey(), store).embed(opened(folder / "v.npy", **options))


def test_embeddings_tell_whether_they_have_unit_length(tmp_path: Path, store: Store) -> None:
    array = of_many_lengths()
    units = array / np.linalg.norm(array, axis=1, keepdims=True)
    assert not embedded(array, tmp_path, store).unit_length
    assert embedded(array, tmp_path, store, normalize=True).unit_length
    assert embedded(units, tmp_path, store).unit_length, "as they are is at unit length"
    units[7] = 0
    zero = embedded(units, tmp_path, store)
    assert not zero.unit_length
    assert [artifact.facts["zeros"] for artifact in zero.artifacts] == [1]
    assert not Embeddings.from_array(units).unit_length, "nobody looked"
