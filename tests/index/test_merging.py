"""Index files filled apart and merged: the same as filled in one go, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike.errors import IndexingError
from lookalike.index.files import read_index, write_index
from lookalike.index.merging import examine, merge_parts, why_unmergeable
from lookalike.machine.environment import threads
from tests.index.galleries import D, clustered

GALLERY = clustered(1500)
QUERIES = clustered(40, seed=1)
BOUNDS = (0, 700, 700, 1480, 1500)
"""Unequal shards, an empty one and a last short one."""

MERGEABLE = [
    "Flat",
    "SQ8",
    "SQfp16",
    "PQ8x6np",
    "PQ8x4fs",
    "LSH",
    "RQ2x4",
    "PCA8,SQ8",
    "IVF8,Flat",
    "IVF8,SQ8",
    "IVF8,PQ8x6np",
    "IVF8,RaBitQ",
    "IVF8,RQ2x4",
    "IVF8_HNSW8,SQ8",
    "IMI2x3,Flat",
    "OPQ8,IVF8,PQ8x6np",
    "RR16,IVF8,RaBitQ4",
    "L2norm,IVF8,Flat",
]
UNMERGEABLE = {
    "HNSW8,Flat": "a graph's links",
    "HNSW8,SQ8": "a graph's links",
    "NSG8,Flat": "a graph's links",
    "IVF8,Flat,RFlat": "a refine step",
    "IVF8,PQ8x4fs,Refine(SQ8)": "a refine step",
    "IVF8,PQ8x4fs": "fast-scan list",
    "IVF8,RaBitQfs": "fast-scan list",
    "IVF8,PQ4+4": "a refine step",
    "PCA8,HNSW8,Flat": "a graph's links",
    "IDMap2,IVF8,Flat": "id map stands in front of inverted lists",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def trained(factory: str, metric: str = "l2", seed: int = 1) -> Any:
    number = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT}[metric]
    index = faiss.index_factory(D, factory, number)
    index.train(clustered(1200, seed))
    return index


def copied(index: Any) -> Any:
    return faiss.deserialize_index(faiss.serialize_index(index))  # clone_index does not know every kind


def filled(blank: Any, first: int, stop: int, ids_from: int | None = None) -> Any:
    """A copy of ``blank`` with these rows; their ids are row numbers, or begin at ``ids_from``."""
    index, rows = copied(blank), GALLERY[first:stop]
    ids = np.arange(len(rows)) + (first if ids_from is None else ids_from)
    if len(rows) == 0:  # on which some of FAISS's indexes crash
        return index
    try:
        index.add_with_ids(rows, ids)
    except RuntimeError:  # ids are positions
        index.add(rows)
    return index


def written(folder: Path, *indexes: Any) -> list[Path]:
    paths = [folder / f"{number}.faiss" for number in range(len(indexes))]
    for index, path in zip(indexes, paths, strict=True):
        write_index(index, path)
    return paths


def merged(paths: list[Path], renumber: bool = False) -> Any:
    return merge_parts([examine(path) for path in paths], renumber)


def assert_same_answers(one: Any, other: Any) -> None:
    for index in (one, other):
        if hasattr(faiss.downcast_index(index), "nprobe"):
            faiss.downcast_index(index).nprobe = 8
    (scores, rows), (wanted_scores, wanted_rows) = one.search(QUERIES, 10), other.search(QUERIES, 10)
    np.testing.assert_array_equal(rows, wanted_rows)
    np.testing.assert_allclose(scores, wanted_scores, atol=1e-5)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("factory", MERGEABLE)
def test_merged_equals_built_in_one_go(factory: str, metric: str, tmp_path: Path) -> None:
    if factory in ("LSH", "IMI2x3,Flat"):
        metric = "l2"  # they have no other
    blank = trained(factory, metric)
    parts = [filled(blank, first, stop) for first, stop in pairwise(BOUNDS)]
    index = merged(written(tmp_path, *parts))
    assert index.ntotal == len(GALLERY)
    assert_same_answers(index, filled(blank, 0, len(GALLERY)))


@pytest.mark.parametrize("factory", ["IVF8,Flat", "IVF8,SQ8", "OPQ8,IVF8,PQ8x6np", "IDMap,Flat"])
def test_parts_numbered_from_0_are_numbered_on(factory: str, tmp_path: Path) -> None:
    blank = trained(factory)
    bounds = list(pairwise(BOUNDS))
    parts = [filled(blank, first, stop, ids_from=0) for first, stop in bounds]
    paths = written(tmp_path, *parts)
    assert_same_answers(merged(paths, renumber=True), filled(blank, 0, len(GALLERY)))
    with pytest.raises(IndexingError, match=r"0\.faiss and .*2\.faiss both have id 0; .*--renumber"):
        merged(paths)
    write_index(filled(blank, 0, 500, ids_from=7), paths[1])
    with pytest.raises(IndexingError, match=r"1\.faiss has other ids than 0 to 499"):
        merged(paths, renumber=True)


def test_the_order_of_files_does_not_matter_where_ids_are_kept(tmp_path: Path) -> None:
    blank = trained("IVF8,Flat")
    paths = written(tmp_path, filled(blank, 0, 900), filled(blank, 900, 1500))
    assert_same_answers(merged(paths[::-1]), filled(blank, 0, 1500))


@pytest.mark.parametrize("factory", UNMERGEABLE)
def test_what_cannot_be_merged_says_why(factory: str, tmp_path: Path) -> None:
    index = trained(factory)
    assert UNMERGEABLE[factory] in str(why_unmergeable(index))
    [path] = written(tmp_path, index)
    with pytest.raises(IndexingError, match=f"cannot be merged, because .*{UNMERGEABLE[factory]}"):
        examine(path)


@pytest.mark.parametrize("factory", MERGEABLE)
def test_faiss_agrees_about_what_can_be_merged(factory: str) -> None:
    assert why_unmergeable(trained(factory)) is None


@pytest.mark.parametrize(
    "factory", ["IVF8,Flat", "SQ8", "PQ8x6np", "PQ8x4fs", "PCA8,SQ8", "RR16,IVF8,RaBitQ"]
)
def test_parts_of_two_trainings_are_refused(factory: str, tmp_path: Path) -> None:
    blanks = [trained(factory, seed=seed) for seed in (1, 2)]
    paths = written(tmp_path, filled(blanks[0], 0, 900), filled(blanks[1], 900, 1500))
    with pytest.raises(IndexingError, match=r"1\.faiss and .*0\.faiss were trained apart"):
        merged(paths)


def test_one_number_that_differs_by_one_bit_is_refused(tmp_path: Path) -> None:
    blank = trained("SQ8")
    other = copied(blank)
    bounds = faiss.vector_to_array(other.sq.trained)
    bounds[5] = np.nextafter(bounds[5], np.float32(9))
    faiss.copy_array_to_vector(bounds, other.sq.trained)
    paths = written(tmp_path, filled(blank, 0, 900), filled(other, 900, 1500))
    blank.check_compatible_for_merge(read_index(paths[1]))  # FAISS would
    with pytest.raises(IndexingError, match="were trained apart"):
        merged(paths)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("IVF9,Flat", "has nlist 9 and .* 8"),
        ("IVF8,SQ8", "has type IndexIVFScalarQuantizer and .* IndexIVFFlat"),
        ("Flat", "has type IndexFlatL2 and"),
    ],
)
def test_parts_of_different_shape_are_refused_by_name(factory: str, words: str, tmp_path: Path) -> None:
    paths = written(tmp_path, filled(trained("IVF8,Flat"), 0, 900), filled(trained(factory), 900, 1500))
    with pytest.raises(IndexingError, match=words):
        merged(paths)


def test_metric_and_dimensions_have_to_be_the_same(tmp_path: Path) -> None:
    wide = faiss.IndexFlatL2(D + 1)
    paths = written(tmp_path, trained("Flat"), trained("Flat", "ip"), wide)
    with pytest.raises(IndexingError, match=r"has (type|metric) "):
        merged(paths[:2])
    with pytest.raises(IndexingError, match=f"has dimensions {D + 1} and .* {D}"):
        merged([paths[0], paths[2]])


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    [path] = written(tmp_path, filled(trained("IVF8,Flat"), 0, 900))
    with pytest.raises(IndexingError, match=r"0\.faiss has id \d+ twice; name each part once"):
        merged([path, path])


def test_an_id_that_comes_twice_in_one_file_is_refused(tmp_path: Path) -> None:
    index = filled(trained("IVF8,Flat"), 0, 900)
    index.add_with_ids(GALLERY[:1], np.array([5]))
    [path] = written(tmp_path, index)
    with pytest.raises(IndexingError, match=r"0\.faiss has id 5 twice"):
        merged([path])


def test_search_settings_kept_in_a_file_do_not_matter(tmp_path: Path) -> None:
    blank = trained("IVF8,Flat")
    one, other = filled(blank, 0, 900), filled(blank, 900, 1500)
    one.nprobe, other.nprobe = 3, 5
    index = merged(written(tmp_path, one, other))
    assert index.nprobe == 3, "those of the first stay"


def test_an_untrained_index_and_none_at_all_are_refused(tmp_path: Path) -> None:
    [path] = written(tmp_path, faiss.index_factory(D, "IVF8,Flat"))
    with pytest.raises(IndexingError, match="is not trained"):
        examine(path)
    with pytest.raises(IndexingError, match="nothing to merge"):
        merge_parts([])


def test_merging_leaves_the_files_as_they_are(tmp_path: Path) -> None:
    blank = trained("IVF8,Flat")
    paths = written(tmp_path, filled(blank, 0, 900), filled(blank, 900, 1500))
    before = [path.read_bytes() for path in paths]
    merged(paths)
    assert [path.read_bytes() for path in paths] == before
