"""Queries out of the user's own files: images, vectors, and tables of what they should find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.errors import QueryError
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.schemas import FilesQueries, VectorsQueries
from tests.datasets.vector_worlds import WRITERS, opened, random_vectors, write_hdf5
from tests.queries.worlds import images, relevant_ids, vectors


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "asked"
    (root / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        Image.new("RGB", (4, 4), "red").save(root / name)
    return root


def test_query_images_come_from_a_folder(root: Path) -> None:
    plan = plan_queries(FilesQueries(root=str(root)), images())
    assert isinstance(plan.queries, ImageSet)
    assert plan.queries.ids == ["a.png", "b.png", "deep/c.png"]
    assert plan.queries.load(2).getpixel((0, 0)) == (255, 0, 0)
    assert plan.relevant_ids is None
    assert plan.description == "3 images of asked"
    assert len(plan.gallery) == 10


def test_a_table_names_what_they_should_find(root: Path) -> None:
    (root / "wanted.csv").write_text(
        "query,relevant\nb.png,03.png\na.png,00.png\nb.png,01.png\nb.png,03.png\n"
    )
    plan = plan_queries(FilesQueries(root=str(root), relevance="wanted.csv"), images())
    assert plan.relevant_ids == [("00.png",), ("03.png", "01.png"), ()]


def test_a_sample_of_files_keeps_their_relevance(root: Path) -> None:
    (root / "wanted.csv").write_text("query,relevant\na.png,00.png\nb.png,01.png\ndeep/c.png,02.png\n")
    plan = plan_queries(FilesQueries(root=str(root), relevance="wanted.csv", n=2), images())
    wanted = {"a.png": ("00.png",), "b.png": ("01.png",), "deep/c.png": ("02.png",)}
    assert len(plan) == 2
    assert plan.relevant_ids == [wanted[id_] for id_ in plan.queries.ids]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("query,relevant\nx.png,00.png\n", "row 1: there is no query x.png; queries are called like a.png"),
        ("query,relevant\na.png,00.png\na.png,99.png\n", "row 2: the gallery has no 99.png"),
        ("query,relevant\na.png,\n", "row 1 says nothing of a.png"),
        ("image,relevant\na.png,00.png\n", "no column query"),
        (None, "does not exist"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(root: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (root / "wanted.csv").write_text(content)
    with pytest.raises(QueryError, match=reason):
        plan_queries(FilesQueries(root=str(root), relevance="wanted.csv"), images())


@pytest.mark.parametrize(
    ("path", "reason"),
    [(None, "queries.root is not set"), ("/no/such", "queries.root=/no/such does not exist")],
)
def test_a_folder_that_is_not_there_is_an_error(path: str | None, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        plan_queries(FilesQueries(root=path), images())


# --- vectors -----------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "q.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    return tmp_path / "q.npy"


def test_ready_vectors_are_queries(file: Path, tmp_path: Path) -> None:
    (tmp_path / "wanted.csv").write_text("query,relevant\n0,v3\n2,v1\n2,v2\n")
    neighbours = np.array([[1, 2], [3, -1], [5, 6], [7, 9]])
    np.save(tmp_path / "n.npy", neighbours)
    config = VectorsQueries(
        file=str(file), relevance=str(tmp_path / "wanted.csv"), neighbours=str(tmp_path / "n.npy")
    )
    plan = plan_queries(config, vectors())
    assert isinstance(plan.queries, VectorSet)
    assert plan.queries.ids == ["0", "1", "2", "3"]
    assert next(plan.queries.blocks(8))[1][3].tolist() == [9, 10, 11]
    assert plan.relevant_ids == [("v3",), (), ("v1", "v2"), ()]
    assert plan.ready_neighbours is not None
    assert plan.ready_neighbours.tolist() == neighbours.tolist()

    config.n = 2
    some = plan_queries(config, vectors())
    rows = [int(id_) for id_ in some.queries.ids]
    assert len(rows) == 2
    assert some.ready_neighbours is not None
    assert some.ready_neighbours.tolist() == neighbours[rows].tolist()


def test_zero_queries_are_left_out_where_zero_vectors_are(tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", np.array([[0, 0, 0], [1, 2, 3], [0, 0, 0], [4, 5, 6]], np.float32))
    config = VectorsQueries(file=str(tmp_path / "q.npy"))
    assert list(plan_queries(config, vectors()).queries.ids) == ["0", "1", "2", "3"]
    plan = plan_queries(config, replace(vectors(), drop_zeros=True))
    assert list(plan.queries.ids) == ["1", "3"]
    assert plan.notices == ("2 queries are all zeros and were left out (dataset.drop_zeros)",)
    np.save(tmp_path / "q.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(QueryError, match=r"all queries of .* are zeros"):
        plan_queries(config, replace(vectors(), drop_zeros=True))


@pytest.mark.parametrize(
    ("neighbours", "reason"),
    [
        (np.zeros((3, 2), np.int64), r"int64 of shape \(3, 2\); neighbours are integers of shape \(4, k\)"),
        (np.zeros(4, np.int64), r"shape \(4,\)"),
        (np.zeros((4, 2), np.float32), "float32"),
        (np.full((4, 2), 10), "rows from 10 to 10, and the gallery has 10"),
        (np.full((4, 2), -2), "rows from -2 to -2"),
    ],
)
def test_neighbours_that_do_not_fit_are_an_error(
    file: Path, tmp_path: Path, neighbours: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "n.npy", neighbours)
    config = VectorsQueries(file=str(file), neighbours=str(tmp_path / "n.npy"))
    with pytest.raises(QueryError, match=reason):
        plan_queries(config, vectors())


def test_neighbours_do_not_go_with_a_sample_of_the_gallery(file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.zeros((4, 2), np.int64))
    config = VectorsQueries(file=str(file), neighbours=str(tmp_path / "n.npy"))
    with pytest.raises(QueryError, match=r"set dataset.limit=null or queries.neighbours=null"):
        plan_queries(config, vectors(20).take(range(10)))


@pytest.mark.parametrize("kind", sorted({*WRITERS} - {"hdf5", "packed hdf5"}))
def test_query_vectors_come_in_every_format(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    array = random_vectors(8, 3)
    write(tmp_path / name, array)
    plan = plan_queries(VectorsQueries(file=str(tmp_path / name)), vectors())
    assert isinstance(plan.queries, VectorSet)
    assert list(plan.queries.ids) == [str(row) for row in range(8)]
    assert next(plan.queries.blocks(8))[1].tolist() == array.tolist()


def test_an_hdf5_is_asked_its_own_questions(tmp_path: Path) -> None:
    gallery, asked = random_vectors(9, 3), random_vectors(4, 3, seed=1)
    rows, distances = np.tile(np.arange(5), (4, 1)), np.full((4, 5), 0.5, np.float32)
    write_hdf5(tmp_path / "v.hdf5", gallery, test=asked, neighbors=rows, distances=distances)
    dataset = opened(tmp_path / "v.hdf5")
    plan = plan_queries(VectorsQueries(), dataset)
    assert isinstance(plan.queries, VectorSet)
    assert next(plan.queries.blocks(8))[1].tolist() == asked.tolist()
    assert plan.ready_neighbours is None, "verified on request only"
    plan = plan_queries(VectorsQueries(neighbours=str(tmp_path / "v.hdf5"), n=2), dataset)
    assert plan.ready_neighbours is not None
    assert plan.ready_neighbours.tolist() == rows[:2].tolist()
    assert plan.ready_distances is not None
    assert plan.ready_distances.shape == (2, 5)
    with h5py.File(tmp_path / "v.hdf5", "a") as changed:
        del changed["test"]
    with pytest.raises(QueryError, match=r"queries.file is not set, and no queries came with the vectors"):
        plan_queries(VectorsQueries(), opened(tmp_path / "v.hdf5"))


def test_query_vectors_that_do_not_fit_are_an_error(file: Path) -> None:
    for config, dataset, reason in (
        (VectorsQueries(file=str(file)), images(), "needs a gallery of ready vectors"),
        (VectorsQueries(file=str(file)), vectors(dim=5), "has 3 dimensions and the gallery 5"),
        (VectorsQueries(), vectors(), "queries.file is not set"),
        (VectorsQueries(file=str(file), format="fvecs"), vectors(), "which cannot be"),
        (VectorsQueries(file=str(file.with_name("gone.npy"))), vectors(), "does not exist"),
    ):
        with pytest.raises(QueryError, match=reason):
            plan_queries(config, dataset)


# --- by label ----------------------------------------------------------------------------------------------


def test_a_table_may_judge_by_label_instead_of_pairs(root: Path) -> None:
    labels = ["cat", "dog", None, "cat", *[None] * 6]
    (root / "wanted.csv").write_text("query,label\na.png,cat\ndeep/c.png,bird\n")
    plan = plan_queries(FilesQueries(root=str(root), relevance="wanted.csv"), images(labels=labels))
    assert relevant_ids(plan) == [["00.png", "03.png"], [], []]


def test_query_vectors_carry_ids_and_labels_in_a_parquet_beside_them(tmp_path: Path) -> None:
    np.save(tmp_path / "asked.npy", np.ones((3, 3), np.float32))
    table = {"id": ["x", "y", "z"], "label": ["cat", None, "dog"], "source": ["s", "s", None]}
    pq.write_table(pa.table(table), tmp_path / "asked.parquet")
    labels = ["cat", "dog", None, "cat", *[None] * 6]
    plan = plan_queries(VectorsQueries(file=str(tmp_path / "asked.npy")), vectors(labels=labels))
    assert list(plan.queries.ids) == ["x", "y", "z"]
    assert relevant_ids(plan) == [["v0", "v3"], [], ["v1"]]
    assert list(plan.sources) == ["s", "s", "z"]
    unlabelled = plan_queries(VectorsQueries(file=str(tmp_path / "asked.npy")), vectors())
    assert not unlabelled.judged
    assert any("set dataset.label_column" in notice for notice in unlabelled.notices)


@pytest.mark.parametrize(
    ("content", "labels", "reason"),
    [
        ("query,label,relevant\na.png,cat,00.png\n", ["cat"] * 10, "in one column, relevant .* or label"),
        ("query,ignored\na.png,00.png\n", ["cat"] * 10, "in one column, relevant .* or label"),
        ("query,label\na.png,cat\n", None, "judges by label, and the gallery has no labels"),
        ("query,label\na.png,cat\na.png,dog\n", ["cat"] * 10, "row 2: a.png has the labels cat and dog"),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_an_error(
    root: Path, content: str, labels: list[str | None] | None, reason: str
) -> None:
    (root / "wanted.csv").write_text(content)
    with pytest.raises(QueryError, match=reason):
        plan_queries(FilesQueries(root=str(root), relevance="wanted.csv"), images(labels=labels))


def test_what_is_called_labels_in_someone_elses_hdf5_is_passed_over(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors(4), labels=np.zeros((4, 7)), test=random_vectors(2))
    gallery = opened(tmp_path / "v.hdf5")
    assert gallery.labels is None
    assert not plan_queries(VectorsQueries(), gallery).judged
    write_hdf5(tmp_path / "w.hdf5", random_vectors(4), labels=["a", "b", "a", ""], test=random_vectors(1))
    assert opened(tmp_path / "w.hdf5").labels == ["a", "b", "a", None]


def test_pairs_of_an_hdf5_that_name_no_rows_are_an_error(tmp_path: Path) -> None:
    more = {"test": random_vectors(2), "test_relevant": np.array([[0, 9]])}
    write_hdf5(tmp_path / "v.hdf5", random_vectors(4), **more)
    with pytest.raises(QueryError, match=r"test_relevant of .* names row 9, which the gallery does not have"):
        plan_queries(VectorsQueries(), opened(tmp_path / "v.hdf5"))


# --- labels of query vectors -------------------------------------------------------------------------------


CLASSES = ["cat", "dog", "cat", None, "dog"]


def of_classes(folder: Path) -> VectorSet:
    """A gallery of 12 vectors, of a cat, a dog and an owl in turn."""
    folder.mkdir()
    np.save(folder / "v.npy", random_vectors(12))
    pq.write_table(pa.table({"label": ["cat", "dog", "owl"] * 4}), folder / "v.parquet")
    return opened(folder / "v.npy")


def wanted(labels: list[str | None]) -> list[list[str]]:
    named = ["cat", "dog", "owl"]
    return [[str(row) for row in range(12) if named[row % 3] == label] for label in labels]


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_labels_beside_query_vectors_of_every_format_say_what_they_should_find(
    kind: str, tmp_path: Path
) -> None:
    name, write = WRITERS[kind]
    write(tmp_path / name, random_vectors(5, seed=1))
    pq.write_table(pa.table({"label": CLASSES}), (tmp_path / name).with_suffix(".parquet"))
    plan = plan_queries(VectorsQueries(file=str(tmp_path / name)), of_classes(tmp_path / "gallery"))
    assert relevant_ids(plan) == wanted(CLASSES)


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_table_of_labels_says_it_for_every_format(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    write(tmp_path / name, random_vectors(5, seed=1))
    (tmp_path / "labels.csv").write_text("query,label\n0,cat\n1,dog\n2,cat\n4,dog\n")
    config = VectorsQueries(file=str(tmp_path / name), relevance=str(tmp_path / "labels.csv"))
    assert relevant_ids(plan_queries(config, of_classes(tmp_path / "gallery"))) == wanted(CLASSES)


def with_labels_inside(kind: str, folder: Path, array: np.ndarray, labels: list[str | None]) -> Path:
    if kind == "csv":
        import pandas as pd

        table = {"Image Path": [f"{row}, x.jpg" for row in range(len(array))], "Label": labels}
        pd.DataFrame(table | {"Features": array.tolist()}).to_csv(folder / "q.csv", index=False)
        return folder / "q.csv"
    save = np.savez if kind == "npz" else np.savez_compressed
    save(folder / "q.npz", vectors=array, labels=np.array([label or "" for label in labels]))
    return folder / "q.npz"


@pytest.mark.parametrize("kind", ["npz", "packed npz", "csv"])
def test_labels_inside_a_file_are_its_querys_and_its_gallerys(kind: str, tmp_path: Path) -> None:
    file = with_labels_inside(kind, tmp_path, random_vectors(5, seed=1), CLASSES)
    gallery = of_classes(tmp_path / "gallery")
    assert relevant_ids(plan_queries(VectorsQueries(file=str(file)), gallery)) == wanted(CLASSES)
    assert opened(file).labels == CLASSES
    pq.write_table(pa.table({"label": ["owl"] * 5}), file.with_suffix(".parquet"))
    assert relevant_ids(plan_queries(VectorsQueries(file=str(file)), gallery)) == wanted(["owl"] * 5)
    assert opened(file).labels == ["owl"] * 5, "the table beside a file is asked first"


def test_labels_may_be_numbers_and_an_array_of_another_shape_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=random_vectors(4), labels=np.array([3, 1, 3, 1]))
    assert opened(tmp_path / "v.npz").labels == ["3", "1", "3", "1"]
    for odd in (np.arange(3), np.eye(4), np.array([0.5, 1, 2, 3])):
        np.savez(tmp_path / "v.npz", vectors=random_vectors(4), labels=odd[:, :1] if odd.ndim > 1 else odd)
        assert opened(tmp_path / "v.npz", array="vectors").labels is None


def test_labels_of_ground_truth_beside_an_hdf5_of_gallery_and_queries_are_the_gallerys(
    tmp_path: Path,
) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors(12), test=random_vectors(5, seed=1))
    pq.write_table(pa.table({"label": ["cat", "dog", "owl"] * 4}), tmp_path / "v.parquet")
    plan = plan_queries(VectorsQueries(), opened(tmp_path / "v.hdf5"))
    assert plan.classes is None
    assert plan.gallery.labels == ["cat", "dog", "owl"] * 4


def test_labels_that_the_gallery_has_not_are_said_and_refused_where_none_is_shared(tmp_path: Path) -> None:
    gallery = of_classes(tmp_path / "gallery")
    np.save(tmp_path / "q.npy", random_vectors(3, seed=1))

    def planned(labels: list[object]) -> QueryPlan:
        pq.write_table(pa.table({"label": labels}), tmp_path / "q.parquet")
        return plan_queries(VectorsQueries(file=str(tmp_path / "q.npy")), gallery)

    assert planned(["cat", "cow", None]).notices == (
        "1 of 3 queries have a label that nothing in the gallery has, 'cow' for one: they do not count",
    )
    with pytest.raises(QueryError, match=r"'1.0' is one of the queries' and 'cat' of the gallery's; write"):
        planned([1.0, 2.0, None])
