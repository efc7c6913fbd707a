"""Results by class in a record and beside it: bounded there, whole here, whatever the classes are called."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.evaluate.classes import NumberedClasses, results_by_class
from lookalike.queries.plan import Classes
from lookalike.runs.by_class import CONFUSIONS, LONGEST_NAME, WORST, ByClass, save_by_class
from lookalike.runs.record import Record
from tests.records import make_point, make_record

STRANGE = ["a, b", 'a "b"', "two\nlines", "<script>alert(1)</script>", "=1+1", "\udcff.jpg", "é" * 300, ""]


def saved(folder: Path, names: list[str], missed: int = 1) -> ByClass:
    """One image a class; each class is asked for ``missed + 1`` times, once with success."""
    gallery = [*names, "elsewhere"]
    queries = [name for name in names for _ in range(missed + 1)]
    first = np.array([row for row in range(len(names)) for row in [row] + [len(names)] * missed], np.int64)
    right = np.tile([True] + [False] * missed, len(names))
    numbered = NumberedClasses.of(Classes(gallery, queries), np.arange(len(gallery)))
    score = {"precision@10": np.full(len(queries), 0.25)}
    results = results_by_class(numbered, first, right, np.ones(len(queries), np.int64), score)
    return save_by_class(results, folder / "points" / "flat.2.npz", folder)


def lines_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def test_tables_beside_the_record_hold_every_class_under_its_own_name(tmp_path: Path) -> None:
    kept = saved(tmp_path, STRANGE, missed=2)
    assert kept.table == "points/flat.2.classes.csv"
    head, *lines = lines_of(tmp_path / kept.table)
    assert head == [
        "class",
        "queries",
        "gallery",
        "hit_rate@1",
        "precision@10",
        "first results of other classes",
    ]
    assert [line[0] for line in lines] == [name.replace("\udcff", "\\udcff") for name in STRANGE]
    assert all(line[1:] == ["3", "1", "0.3333", "0.25", "elsewhere (2)"] for line in lines)
    head, *lines = lines_of(tmp_path / str(kept.confusions_table))
    assert head == ["class", "class of the first result", "queries"]
    assert all(line[1:] == ["elsewhere", "2"] for line in lines) and len(lines) == len(STRANGE)
    assert sum(int(line[2]) for line in lines) == kept.not_right_first


def test_the_record_holds_the_worst_only_and_says_how_many_there_are(tmp_path: Path) -> None:
    kept = saved(tmp_path, [f"class {number}" for number in range(100)])
    assert (kept.classes, kept.not_right_first) == (100, 100)
    assert (len(kept.worst), len(kept.confusions)) == (WORST, CONFUSIONS)
    assert len(lines_of(tmp_path / str(kept.table))) == 101


def test_a_record_with_classes_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    kept = saved(tmp_path, STRANGE)
    record = make_record([make_point(by_class=kept)])
    record.save(tmp_path)
    again = Record.load(tmp_path).points[0].by_class
    assert again is not None and again.worst[0] == kept.worst[0]
    assert [line.name for line in again.worst][:5] == STRANGE[:5]
    assert max(len(line.name) for line in again.worst) == LONGEST_NAME
    assert again.worst[0].confused_with[0].other == "elsewhere"


@pytest.mark.parametrize("wrong", ["../../etc/passwd", "/etc/passwd"])
def test_a_record_whose_table_lies_elsewhere_is_damaged(wrong: str, tmp_path: Path) -> None:
    record = make_record([make_point(by_class=ByClass(1, 0, table=wrong))])
    record.save(tmp_path)
    with pytest.raises(UserError, match=r"by_class\.table leads out of the record's folder"):
        Record.load(tmp_path)
