"""The original system's CSV shards: parsed part by part, malformed rows named by line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    opened,
    random_vectors,
    whole,
    write_csv,
)


def test_paths_are_ids_whatever_they_hold(tmp_path: Path) -> None:
    paths = ["a,b.jpg", 'say "hi".jpg', "zeile\numbruch.jpg", "ü [1, 2].jpg", ',"[1.0].jpg', "plain.jpg"]
    array = random_vectors(6)
    write_csv(tmp_path / "v.csv", array, paths)
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == paths
    assert whole(vectors).tolist() == array.tolist()


def test_other_columns_line_ends_and_marks_are_passed_over(tmp_path: Path) -> None:
    with (tmp_path / "v.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "Image Path", "Features"])
        writer.writerow([0, "a, b.jpg", [1.5, -2e-3]])
        writer.writerow([1, "c.jpg", [3, 4.25]])
        file.write("\r\n")
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == ["a, b.jpg", "c.jpg"]
    assert whole(vectors).tolist() == np.array([[1.5, -2e-3], [3, 4.25]], np.float32).tolist()


def test_a_list_of_one_has_no_quotes(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", np.array([[0.5], [2.0]], np.float32), ["a.jpg", "b,[1].jpg"])
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == ["a.jpg", "b,[1].jpg"]
    assert whole(vectors).tolist() == [[0.5], [2.0]]


def test_a_file_of_several_parts_is_parsed_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.datasets.formats import csv_shard

    monkeypatch.setattr(csv_shard, "SCANNED_AT_ONCE", 97)
    monkeypatch.setattr(csv_shard, "PARSED_AT_ONCE", 500)
    array = random_vectors(300)
    paths = [f'{row},"quoted"\n{row}.jpg' for row in range(300)]
    write_csv(tmp_path / "v.csv", array, paths)
    vectors = opened(tmp_path / "v.csv")
    assert vectors.ids == paths
    assert whole(vectors, 37).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('b.jpg,"[1.0, 2.0]"', "line 3 has 2 values where the first row has 3"),
        ('b.jpg,"[1.0, 2.0, 3.0, 4.0]"', "line 3 has 4 values where the first row has 3"),
        ('b.jpg,"[1.0, abc, 3.0]"', "line 3 has 'abc' as value 2, which is not a number"),
        ('b.jpg,"[1.0, , 3.0]"', "line 3 has '' as value 2, which is not a number"),
        ('b.jpg,"[1.0, nan, 3.0]"', "line 3 has 'nan' as value 2, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 1e999]"', "line 3 has '1e999' as value 3, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 1e39]"', "line 3 has '1e39' as value 3, which nothing can rank"),
        ('b.jpg,"[1.0, 2.0, 3.0"', "line 3 has no ] at its end"),
        ('b.jpg,"1.0, 2.0, 3.0]"', "line 3 has no list of numbers"),
        ("b.jpg,", "line 3 has no list of numbers"),
        ('b.jpg,"[1.0, 2.0, 3.0]', "line 3 has a quote that is never closed"),
        ('b.jpg,"[[1.0, 2.0, 3.0]]"', r"line 3 has '\[1.0' as value 1"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(row: str, reason: str, tmp_path: Path) -> None:
    rows = ["Image Path,Features", 'a.jpg,"[1.0, 2.0, 3.0]"', row, 'c.jpg,"[1.0, 2.0, 3.0]"']
    (tmp_path / "v.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DatasetError, match=f"v.csv, {reason}"):
        whole(opened(tmp_path / "v.csv"))


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", random_vectors(4), ["a\nb", "c\nd", "e\nf", "g"])
    text = (tmp_path / "v.csv").read_text().splitlines()
    wrong = next(number for number, line in enumerate(text) if line.startswith("g"))
    text[wrong] = 'g,"[1.0]"'
    (tmp_path / "v.csv").write_text("\n".join(text))
    with pytest.raises(DatasetError, match=f"line {wrong + 1} "):
        whole(opened(tmp_path / "v.csv"))


def test_a_field_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lookalike.datasets.formats import csv_shard

    monkeypatch.setattr(csv_shard, "SCANNED_AT_ONCE", 1 << 16)
    monkeypatch.setattr(csv_shard, "MAX_ROW_BYTES", 1 << 18)
    with (tmp_path / "v.csv").open("wb") as file:
        file.write(b'Image Path,Features\na.jpg,"[1.0]"\nb.jpg,"[')
        file.truncate(1 << 30)  # a hole: a gigabyte that takes no room
    with pytest.raises(DatasetError, match="line 3 goes on for more than"):
        opened(tmp_path / "v.csv")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"path,vector\na,b\n", "has no columns Image Path and Features"),
        (b'Features,Image Path\n"[1.0, 2.0]",a\n', "is not the last column"),
        (b"Image Path,Features\n", "has a header and no rows"),
        (b"", "is empty"),
        (b'Image Path,Features\n\xff.jpg,"[1.0, 2.0]"\n', "line 2 is not UTF-8"),
    ],
)
def test_a_csv_of_something_else_is_an_error(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        opened(tmp_path / "v.csv")
