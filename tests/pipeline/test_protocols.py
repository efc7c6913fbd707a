"""Every query protocol, from a folder or ready vectors to measures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.cli import main
from lookalike.index.families.flat import FlatIndex
from lookalike.runs.record import Record
from lookalike.schemas import (
    CopiesQueries,
    EmbeddingsDataset,
    FilesQueries,
    FolderDataset,
    HeldOutQueries,
    InGalleryQueries,
    LabelsQueries,
    VectorsQueries,
)
from tests.pipeline.conftest import RunOf, paint

RELEVANCE = {"relevant_recall", "hit_rate", "map", "mrr", "precision", "ndcg"}


def curves(record: Record) -> set[str]:
    return set(record.points[0].curves)


def exact_search(**changes: Any) -> dict[str, Any]:
    return {"index": FlatIndex(), **changes}


def test_copies_are_judged_per_edit(run_of: RunOf) -> None:
    record = run_of(**exact_search(queries=CopiesQueries(n=5, edits=["colour", "crop"])))
    assert record.data["query_count"] == 10 and record.data["gallery_size"] == 80
    assert curves(record) >= RELEVANCE
    by_edit = record.points[0].by_edit
    assert set(by_edit) == {"colour", "crop"} and record.points[0].by_class is None
    overall = record.points[0].curves["hit_rate"]["1"]
    assert overall == pytest.approx(np.mean([by_edit[edit]["hit_rate"]["1"] for edit in by_edit]))


def test_a_run_keeps_how_relevant_the_exact_answer_is(run_of: RunOf, tmp_path: Path) -> None:
    record = run_of(index=FlatIndex())
    exact, [point] = record.data["exact_answer"], record.points
    relevance = {name: curve for name, curve in point.curves.items() if "nn_recall" not in name}
    assert exact["curves"] == relevance != {}
    folder = tmp_path / "outputs" / "1"
    with np.load(folder / exact["values"]) as kept, np.load(folder / point.neighbours) as of_point:
        assert {"sources", "hit_rate_at_1", "hit_rate_at_10"} <= set(kept)
        for name in kept:
            np.testing.assert_equal(kept[name], of_point[name])


def test_held_out_images_leave_the_gallery(run_of: RunOf) -> None:
    record = run_of(**exact_search(queries=HeldOutQueries(n=20)))
    assert (record.data["query_count"], record.data["gallery_size"]) == (20, 60)
    assert not curves(record) & RELEVANCE
    assert record.points[0].curves["knn_recall"]["10"] == 1


def test_gallery_queries_do_not_find_themselves(run_of: RunOf, tmp_path: Path) -> None:
    record = run_of(**exact_search(queries=InGalleryQueries(n=None)))
    assert record.data["query_count"] == 80
    raw = np.load(tmp_path / "outputs" / "1" / str(record.points[0].neighbours))
    assert raw["rows"].shape == (80, 11), "one more is asked for, to make up for the query itself"
    assert record.points[0].curves["knn_recall"]["10"] == 1


def test_labels_judge_each_image_by_the_others(run_of: RunOf, pictures: Path) -> None:
    dataset = FolderDataset(root=str(pictures), labels="folder")
    record = run_of(**exact_search(dataset=dataset, queries=LabelsQueries(n=30)))
    assert record.data["query_count"] == 30
    relevant_recall = record.points[0].curves["relevant_recall"]["10"]
    assert 0 < relevant_recall <= 10 / 39, "39 others share the label and ten can be found"
    by_class = record.points[0].by_class
    assert by_class is not None and {line.name for line in by_class.worst} == {"cats", "dogs"}
    assert sum(line.queries for line in by_class.worst) == 30
    assert all(line.gallery == 40 for line in by_class.worst)
    hit_rate = record.points[0].curves["hit_rate"]["1"]
    assert by_class.not_right_first == pytest.approx(30 * (1 - hit_rate))
    assert {(line.name, line.other) for line in by_class.confusions} == {("cats", "dogs"), ("dogs", "cats")}


def test_the_report_prints_the_classes_that_fare_worst(
    run_of: RunOf, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = FolderDataset(root=str(pictures), labels="folder")
    record = run_of(**exact_search(dataset=dataset, queries=LabelsQueries(n=30)))
    assert main(["report", str(tmp_path / "outputs" / "1"), "--classes", "--no-images"]) == 0
    printed = capsys.readouterr().out
    by_class = record.points[0].by_class
    assert by_class is not None
    assert f"is not right for {by_class.not_right_first} queries" in printed
    for line in by_class.worst:
        assert f"{line.hit_rate_at_1:.3f}" in printed and line.name in printed


def test_held_out_images_with_labels_are_judged_by_class(run_of: RunOf, pictures: Path) -> None:
    dataset = FolderDataset(root=str(pictures), labels="folder")
    by_class = run_of(**exact_search(dataset=dataset, queries=HeldOutQueries(n=20))).points[0].by_class
    assert by_class is not None
    assert sum(line.queries for line in by_class.worst) == 20
    assert sum(line.gallery for line in by_class.worst) == 60


def test_query_files_with_their_right_answers(run_of: RunOf, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    paint(asked / "again.png", 7)  # the same picture as cats/007.png
    paint(asked / "itself.png", 8)  # dogs/008.png again, which is not the answer that is wanted
    paint(asked / "new.png", 5000)
    answers = tmp_path / "answers.csv"
    with answers.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["query", "relevant"], ["again.png", "cats/007.png"], ["itself.png", "cats/009.png"]]
        )
    record = run_of(**exact_search(queries=FilesQueries(root=str(asked), relevance=str(answers))))
    assert record.data["query_count"] == 3
    assert record.points[0].curves["hit_rate"]["1"] >= 0.5
    raw = np.load(tmp_path / "outputs" / "1" / str(record.points[0].neighbours))
    assert raw["rows"].shape[1] == 11, "one more is asked for, because a query itself is ignored"
    assert record.points[0].counts["without_relevance"] == 1


def test_ready_vectors_need_neither_images_nor_a_model(run_of: RunOf, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    gallery = generator.standard_normal((200, 16)).astype(np.float32)
    asked = gallery[[3, 50, 199]] + 0.01
    np.save(tmp_path / "gallery.npy", gallery)
    np.save(tmp_path / "asked.npy", asked)
    dataset = EmbeddingsDataset(root=str(tmp_path / "gallery.npy"))
    queries = VectorsQueries(file=str(tmp_path / "asked.npy"))
    record = run_of(**exact_search(dataset=dataset, queries=queries))
    assert (record.data["gallery_size"], record.data["dim"], record.data["query_count"]) == (200, 16, 3)
    assert record.model["name"] == "ready vectors"
    assert record.points[0].curves["nn_recall"]["1"] == 1
    raw = np.load(tmp_path / "outputs" / "1" / str(record.points[0].neighbours))
    assert raw["rows"][:, 0].tolist() == [3, 50, 199]


def test_given_neighbours_are_held_against_ours(run_of: RunOf, tmp_path: Path) -> None:
    gallery = np.eye(30, 16, dtype=np.float32) + np.arange(30)[:, None] * 0.01
    np.save(tmp_path / "gallery.npy", gallery)
    np.save(tmp_path / "asked.npy", gallery[:2])
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    right = np.argsort(-(unit[:2] @ unit.T), axis=1, kind="stable")[:, :10]
    wrong = right.copy()
    wrong[1] = np.setdiff1d(np.arange(30), right[1])[:10]
    padded = right.copy()
    padded[0, 4:] = padded[1] = -1  # four neighbours and none: what is given is right
    half = padded.copy()
    half[0, :2] = np.setdiff1d(np.arange(30), right[0])[:2]
    shares = []
    for given in (right, wrong, padded, padded.astype(np.uint32), half):
        np.save(tmp_path / "given.npy", given)
        record = run_of(
            **exact_search(
                dataset=EmbeddingsDataset(root=str(tmp_path / "gallery.npy")),
                queries=VectorsQueries(
                    file=str(tmp_path / "asked.npy"), neighbours=str(tmp_path / "given.npy")
                ),
            )
        )
        shares.append(record.extras["given_neighbours_found"])
    assert shares == [1.0, 0.5, 1.0, 1.0, 0.5]


def test_byte_identical_images_are_relevant_together(run_of: RunOf, pictures: Path) -> None:
    for number in range(80):
        original = next(pictures.rglob(f"{number:03}.png"))
        (pictures / "copies").mkdir(exist_ok=True)
        (pictures / "copies" / original.name).write_bytes(original.read_bytes())
    record = run_of(**exact_search(queries=CopiesQueries(n=5, edits=["colour"])))
    assert record.data["duplicates"] == 80
    assert record.points[0].curves["relevant_recall"]["1"] <= 0.5, "the original and its twin: two to find"
