"""Vectors out of FAISS's index files, in the order of their ids."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    opened,
    random_vectors,
    whole,
    write_index,
)


@pytest.mark.parametrize("factory", ["IDMap,Flat", "IDMap2,Flat", "IVF4,Flat", "IDMap,HNSW8"])
def test_vectors_of_an_index_come_in_the_order_of_their_ids(factory: str, tmp_path: Path) -> None:
    array, ids = random_vectors(), np.random.default_rng(1).permutation(50) + 1_000
    write_index(tmp_path / "v.faiss", array, factory, ids)
    vectors = opened(tmp_path / "v.faiss")
    assert list(vectors.ids) == [str(id_) for id_ in range(1_000, 1_050)]
    assert whole(vectors).tolist() == array[np.argsort(ids)].tolist()
    assert vectors.notices == ()


@pytest.mark.parametrize("factory", ["IVF4,Flat,RFlat", "HNSW8", "NSG8"])
def test_vectors_are_found_behind_graphs_and_refinement(factory: str, tmp_path: Path) -> None:
    array = random_vectors(200)
    write_index(tmp_path / "v.faiss", array, factory)
    vectors = opened(tmp_path / "v.faiss")
    assert whole(vectors).tolist() == array.tolist()
    assert vectors.notices == ()


@pytest.mark.parametrize(
    "factory", ["SQ8", "PQ3x4", "IVF4,SQ8", "IVF4,PQ3x4", "OPQ3,IVF4,PQ3x4", "PCA4,Flat"]
)
def test_codes_are_said_to_be_approximations(factory: str, tmp_path: Path) -> None:
    array = random_vectors(300)
    write_index(tmp_path / "v.faiss", array, factory)
    vectors = opened(tmp_path / "v.faiss")
    index = faiss.read_index(str(tmp_path / "v.faiss"))
    if "IVF" in factory:
        faiss.extract_index_ivf(index).make_direct_map()
    expected = np.stack([index.reconstruct(row) for row in range(300)])
    np.testing.assert_allclose(whole(vectors), expected, rtol=1e-5, atol=1e-6)
    [notice] = vectors.notices
    assert "approximations" in notice


def test_an_index_whose_vectors_are_gone_is_an_error(tmp_path: Path) -> None:
    write_index(tmp_path / "v.faiss", random_vectors(200), "L2norm,IDMap,Flat", np.arange(200))
    with pytest.raises(DatasetError, match="cannot be had back"):
        opened(tmp_path / "v.faiss")
    faiss.write_index(faiss.IndexFlatL2(4), str(tmp_path / "empty.faiss"))
    with pytest.raises(DatasetError, match="without vectors"):
        opened(tmp_path / "empty.faiss")
    write_index(tmp_path / "twice.faiss", random_vectors(2), "IDMap,Flat", np.array([5, 5]))
    with pytest.raises(DatasetError, match="several vectors of the id 5"):
        opened(tmp_path / "twice.faiss")


def test_an_index_that_announces_too_much_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path / "v.faiss", random_vectors())
    content = (tmp_path / "v.faiss").read_bytes()
    size = np.array([50 * 6 * 4], np.uint64).tobytes()
    count = size if size in content else np.array([50 * 6], np.uint64).tobytes()
    assert count in content
    for lie in (2**40, 2**33, 2**62):
        (tmp_path / "v.faiss").write_bytes(content.replace(count, np.array([lie], np.uint64).tobytes()))
        with pytest.raises(DatasetError, match="not a readable FAISS index"):
            opened(tmp_path / "v.faiss")
