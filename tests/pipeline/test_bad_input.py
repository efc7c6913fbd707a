"""Bad input as a user meets it: one line of cause and cure, exit code 2, nothing half-written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.command_line import Run, artifacts, drafts, files_below, records
from tests.pipeline.inputs import images, random_vectors, table, vectors


def spoiled(value: float, whole_row: bool = False) -> np.ndarray:
    """Vectors of which row 17 has one odd value, or nothing else."""
    array = random_vectors()
    array[17, slice(None) if whole_row else 3] = value
    return array


def query_vectors(tmp_path: Path, array: np.ndarray) -> list[str]:
    np.save(tmp_path / "queries.npy", array)
    return vectors(tmp_path, random_vectors(), "queries=vectors", f"queries.file={tmp_path / 'queries.npy'}")


def two_models(tmp_path: Path) -> list[str]:
    overrides = vectors(tmp_path, random_vectors())
    np.save(tmp_path / "vectors" / "part_1.npy", random_vectors(dim=4))
    return overrides


def empty_folder(tmp_path: Path) -> list[str]:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "notes.txt").write_text("no image")
    return ["dataset=folder", f"dataset.root={tmp_path / 'nothing'}"]


def store_of(tmp_path: Path, name: str, text: str) -> list[str]:
    """A folder in the store's place that this version did not write."""
    (tmp_path / "home" / "store").mkdir()
    (tmp_path / "home" / "store" / name).write_text(text)
    return images(tmp_path)


def other_store(tmp_path: Path) -> list[str]:
    return store_of(tmp_path, "format.json", '{"format": 99, "written_by": "lookalike"}')


LABELS = ("queries=labels", "dataset.labels=animal")
FACTORY = "index=factory"


@dataclass(frozen=True)
class Case:
    """What somebody does wrong, and what they have to be told."""

    overrides: Callable[[Path], list[str]]
    cause: str
    cure: str


CASES = {
    "missing folder": Case(
        lambda tmp: ["dataset=folder", f"dataset.root={tmp / 'nowhere'}"],
        r"dataset\.root=\S+nowhere does not exist",
        "name a folder of images",
    ),
    "folder not named": Case(
        lambda tmp: ["dataset=folder"], r"dataset\.root is not set", r"dataset\.root=~/Pictures"
    ),
    "empty folder": Case(empty_folder, r"nothing holds no images \(1 file seen", "name another folder"),
    "labels without a table": Case(
        lambda tmp: images(tmp, *LABELS), "dataset.labels=animal is a column of no table", "set dataset.table"
    ),
    "table missing": Case(
        lambda tmp: images(tmp, *LABELS, "dataset.table=gone.csv"),
        r"dataset\.table=gone\.csv does not exist",
        "name a CSV or parquet file",
    ),
    "label column missing": Case(
        lambda tmp: table(tmp, "path,species\n00.png,cat\n", *LABELS),
        r"table\.csv has no column animal",
        "it has path, species",
    ),
    "labels of other images": Case(
        lambda tmp: table(tmp, "path,animal\nx.png,cat\ny.png,cat\n", *LABELS),
        r"table\.csv names none of the images: its column path holds x\.png",
        r"write paths relative to \S+pictures, or set dataset\.table_path_column",
    ),
    "labels that nobody shares": Case(
        lambda tmp: table(tmp, "path,animal\n00.png,cat\n01.png,dog\n", *LABELS),
        "no two images share a label",
        "use other labels or queries=in_gallery",
    ),
    "image named twice": Case(
        lambda tmp: table(tmp, "path,animal\n00.png,cat\n./00.png,dog\n", *LABELS),
        r"names 00\.png twice \(rows 1 and 2\)",
        "keep one of them",
    ),
    "captions of other images": Case(
        lambda tmp: table(tmp, "path,text\nx.png,a cat\n", "dataset.captions=text", "queries=copies"),
        r"table\.csv names none of the images",
        "write paths relative to",
    ),
    "captions without a text tower": Case(
        lambda tmp: table(tmp, "path,text\n00.png,a cat\n", "dataset.captions=text", "queries=captions"),
        "pixels.* text",
        r"; .*(use|choose) ",
    ),
    "NaN": Case(
        lambda tmp: vectors(tmp, spoiled(np.nan)),
        r"part_0\.npy, row 17 holds NaN or infinity",
        "remove it or",
    ),
    "Inf": Case(
        lambda tmp: vectors(tmp, spoiled(np.inf)),
        r"part_0\.npy, row 17 holds NaN or infinity",
        "remove it or",
    ),
    "zero vector": Case(
        lambda tmp: vectors(tmp, spoiled(0, whole_row=True), "dataset.normalize=true"),
        r"part_0\.npy, row 17 is all zeros",
        "remove it or embed its image again",
    ),
    "repeated ids": Case(
        lambda tmp: vectors(tmp, random_vectors(3), "search.k=2", ids=["a", "b", "a"]),
        "the id a stands at 2 vectors",
        r"set dataset\.id_column to unique ids",
    ),
    "more vectors than ids": Case(
        lambda tmp: vectors(tmp, random_vectors(3), "search.k=2", ids=["a", "b"]),
        r"part_0\.parquet has 2 rows, but \S+part_0\.npy has 3 vectors",
        "both have to be of one run",
    ),
    "shards of different dimensions": Case(
        two_models, r"part_1\.npy has 4 dimensions, but part_0\.npy has 8", "keep only vectors of one model"
    ),
    "vectors without dimensions": Case(
        lambda tmp: vectors(tmp, random_vectors()[:, 0]),
        r"part_0\.npy holds float32 of shape \(40,\)",
        r"vectors are float16, float32, float64, uint8 or int8 of shape \(rows, dimensions\)",
    ),
    "queries of other dimensions": Case(
        lambda tmp: query_vectors(tmp, random_vectors(5, 4)),
        r"queries\.npy has 4 dimensions and the gallery 8",
        "use vectors of one model",
    ),
    "pq_m that does not divide": Case(
        lambda tmp: vectors(tmp, random_vectors(), "index=ivf_pq", "index.nlist=4", "index.pq_m=5"),
        "index.pq_m=5 does not divide the vectors' 8 dimensions",
        "try 8 or 4",
    ),
    "unknown factory": Case(
        lambda tmp: images(tmp, FACTORY, "index.factory=Mystery7"),
        "index.factory=Mystery7 is nothing FAISS can make: could not parse index string Mystery7",
        "mend the string",
    ),
    "factory with an unquoted comma": Case(
        lambda tmp: images(tmp, FACTORY, "index.factory=IVF4,Flat"),
        "index.factory=IVF4,Flat means a sweep, because of the comma",
        "quote it twice: 'index.factory=\"IVF4,Flat\"'",
    ),
    "zero K": Case(lambda tmp: images(tmp, "search.k=0"), "search.k must be a positive integer", "not 0"),
    "negative K": Case(
        lambda tmp: images(tmp, "search.k=-5"), "search.k must be a positive integer", "not -5"
    ),
    "K that is not a number": Case(
        lambda tmp: images(tmp, "search.k=many"), "search.k must be a positive integer", "not many"
    ),
    "K above the number of images": Case(
        lambda tmp: images(tmp, "search.k=13"),
        "search.k=13 exceeds the gallery's 12 images",
        "lower k or take more images",
    ),
    "K above the sample": Case(
        lambda tmp: images(tmp, "search.k=11", "dataset.limit=10"),
        "search.k=11 exceeds the gallery's 10 images",
        "lower k or take more images",
    ),
    "K above the number of vectors": Case(
        lambda tmp: vectors(tmp, random_vectors(), "search.k=41"),
        "search.k=41 exceeds the gallery's 40 images",
        "lower k or take more images",
    ),
    "fewer images than lists": Case(
        lambda tmp: images(tmp, "index=ivf_flat", "index.nlist=13"),
        "index.nlist needs 13 centroids and the gallery has 12 vectors",
        "lower nlist, or take more images",
    ),
    "fewer images than codewords": Case(
        lambda tmp: images(tmp, "index=ivf_pq", "index.nlist=2"),
        "index.pq_bits needs 256 centroids and the gallery has 12 vectors",
        "lower pq_bits, or take more images",
    ),
    "fewer training vectors than lists": Case(
        lambda tmp: images(tmp, "index=ivf_flat", "index.nlist=4", "index.train_size=3"),
        "index.nlist needs 4 centroids and index.train_size=3 is fewer vectors",
        "raise index.train_size to 156 or more",
    ),
    "store of another version": Case(
        other_store,
        "store was written in store format 99, this Lookalike reads format 1",
        "set paths.store to a new folder, or use the version of Lookalike that wrote it",
    ),
    "store in a folder of other things": Case(
        lambda tmp: store_of(tmp, "holiday.jpg", "not ours"),
        "store is a folder of other things",
        "set paths.store to a new folder",
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_refused_with_cause_and_cure_and_nothing_written(
    case: Case, run: Run, home: Path, tmp_path: Path
) -> None:
    overrides = case.overrides(tmp_path)
    before = files_below(home)
    refusal = run(*overrides).refusal()
    assert re.search(f"{case.cause}.*{case.cure}", refusal), refusal
    assert files_below(home) - {"store/format.json"} == before - {"store/format.json"}
    assert not (home / "outputs").exists()


def test_all_faults_are_said_together(run: Run, tmp_path: Path) -> None:
    ended = run("dataset=folder", f"dataset.root={tmp_path / 'nowhere'}", "search.k=0", "index.threads=0")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 3
    for line in ended.err.splitlines():
        assert line.startswith("error: ")
        assert "; " in line or " must be " in line, "what to do"


def test_bad_queries_leave_the_sound_gallery_and_a_failed_record(
    run: Run, home: Path, tmp_path: Path
) -> None:
    refusal = run(*query_vectors(tmp_path, spoiled(np.nan)[10:20]), "queries.n=null").refusal()
    assert re.search(r"queries\.npy, row 7 holds NaN or infinity; remove it", refusal)
    assert artifacts(home) == ["embeddings"]
    assert drafts(home) == []
    [record] = records(home)
    assert (record["status"], record["error"], record["points"]) == ("failed", refusal, [])


@pytest.mark.parametrize(
    ("overrides", "notice"),
    [
        (["index=ivf_flat"], "300 training vectors are few for 16 centroids (FAISS advises 624)"),
        (["index=ivf_pq", "index.pq_m=4"], "300 training vectors are few for 256 centroids"),
        (["index=opq_ivf_pq", "index.pq_m=4", "index.opq_d=8"], "300 training vectors are few for 256 cen"),
    ],
)
def test_few_training_vectors_are_one_notice_in_our_words(
    run: Run, tmp_path: Path, overrides: list[str], notice: str
) -> None:
    ended = run(*vectors(tmp_path, random_vectors(300)), *overrides, "index.nlist=16")
    assert ended.code == 0
    said = [line for line in ended.err.splitlines() if re.search("few|centroid", line, re.IGNORECASE)]
    assert len(said) == 1
    assert said[0].startswith(f"notice: {notice}")
    assert said[0].endswith("take fewer centroids, or more images")
    ours = re.compile(
        r"(embeddings|queries|exact|index|serving): (built|reused)|notice: |a search visits 8 of 16 "
    )
    assert [line for line in ended.err.splitlines() if not ours.match(line)] == []
    assert "WARNING" not in ended.out
