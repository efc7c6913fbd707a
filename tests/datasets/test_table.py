"""Every table that people really have is read, or refused with the line and the cause."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lookalike.datasets import open_dataset
from lookalike.datasets.formats.csv_shard import open_csv
from lookalike.datasets.table import LONGEST_FIELD, read_columns
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.judgements import read_judgements
from lookalike.schemas import FolderDataset

ROWS = [["path", "text"], ["a.jpg", "a café, red"], ["b.jpg", "李; two\nlines\tand more"], ["c.jpg", ""]]
EXPECTED = {"path": ["a.jpg", "b.jpg", "c.jpg"], "text": ["a café, red", "李; two\nlines\tand more", None]}


def written(file: Path, separator: str = ",", encoding: str = "utf-8", first: str = "") -> Path:
    lines = (separator.join(f'"{field}"' for field in row) + "\r\n" for row in ROWS)
    file.write_bytes((first + "".join(lines)).encode(encoding))
    return file


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_separators_and_encodings_are_found_out(
    suffix: str, separator: str, encoding: str, tmp_path: Path
) -> None:
    file = written(tmp_path / f"t{suffix}", separator, encoding)
    assert read_columns(file, ["path", "text"]) == EXPECTED
    assert read_columns(file, ["text"]) == {"text": EXPECTED["text"]}


def test_what_excel_writes_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "t.csv", ";", "utf-8-sig", first="sep=;\r\n")
    assert read_columns(file, ["path", "text"]) == EXPECTED
    (tmp_path / "u.csv").write_text("path, text ,\r\n\r\na.jpg,one,,,\r\n,,,,,\r\nb.jpg,two,\r\n")
    assert read_columns(tmp_path / "u.csv", ["path", "text"]) == {
        "path": ["a.jpg", "b.jpg"],
        "text": ["one", "two"],
    }


def test_a_caption_of_a_megabyte_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'path,text\na.jpg,"{"x" * (1 << 20)}"\n')
    assert len(read_columns(tmp_path / "t.csv", ["text"])["text"][0] or "") == 1 << 20


LATIN = "path,text\na.jpg,plain\nb.jpg,caf\xe9\n".encode("latin-1")


@pytest.mark.parametrize(
    ("content", "line", "cause"),
    [
        (b"path,text\na.jpg,one\nb.jpg,red, and round\n", 3, "3 fields where the header has 2"),
        (b"path,text\na.jpg,one\n\nb.jpg\n", 4, "1 fields where the header has 2"),
        (b'path,text\n"a.jpg","two\nlines"\nb.jpg,x,y\n', 4, "put a text that holds a comma in quotes"),
        (b"path;text\na.jpg;one;two\n", 2, "holds a semicolon in quotes"),
        (LATIN, 3, "is not UTF-8 (byte 0xe9); save the file as UTF-8 (iconv -f LATIN1"),
        ("path,text\na.jpg,x\n".encode("utf-16-le"), 1, "UTF-16 without a byte order mark"),
        (b'path,text\na.jpg,one\nb.jpg,"never closed\nc.jpg,two\n', 3, "see that its quotes are closed"),
        (b'path,text\na.jpg,"one" two\n', 2, "see that its quotes are closed"),
        (b"path,text\na.jpg,one\nb.jpg," + b"x" * (LONGEST_FIELD + 1) + b"\n", 3, "field limit"),
    ],
    ids=[
        "long",
        "short",
        "after lines",
        "semicolon",
        "latin",
        "utf-16",
        "unclosed",
        "after quote",
        "endless",
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_cause(
    content: bytes, line: int, cause: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError) as raised:
        read_columns(tmp_path / "t.csv", ["path", "text"])
    assert f"line {line} " in str(raised.value)
    assert cause in str(raised.value)


def test_a_column_that_stands_twice_is_an_error_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,text,text\na.jpg,one,two\n")
    with pytest.raises(DatasetError, match="several columns called text; rename all but one"):
        read_columns(tmp_path / "t.csv", ["path", "text"])
    assert read_columns(tmp_path / "t.csv", ["path"]) == {"path": ["a.jpg"]}
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 3, names=["path", "text", "text"])
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match="several columns called text; rename all but one"):
        read_columns(tmp_path / "t.parquet", ["path", "text"])
    assert read_columns(tmp_path / "t.parquet", ["path"]) == {"path": ["a"]}


def test_what_is_called_csv_and_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(gzip.compress(b"path,text\n"))
    with pytest.raises(DatasetError, match="is compressed by gzip; unpack it"):
        read_columns(tmp_path / "t.csv", ["path"])
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(DatasetError, match="is not a file"):
        read_columns(tmp_path / "d.csv", ["path"])
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(DatasetError, match="an Excel workbook; save the table as CSV"):
        read_columns(tmp_path / "t.csv", ["path"])


def test_cells_of_a_parquet_are_texts_or_an_error(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": [b"caf\xc3\xa9", None], "n": [1, 2]}), file)
    assert read_columns(file, ["text", "n"]) == {"text": ["café", None], "n": ["1", "2"]}
    for cells, cause in (([b"ok", b"caf\xe9"], "is not UTF-8"), ([["a"], ["b", "c"]], "several values")):
        parquet.write_table(pyarrow.table({"text": cells}), file)
        with pytest.raises(DatasetError, match=rf"row \d of text in .*{cause}"):
            read_columns(file, ["text"])


# --- every place where a user's table is read --------------------------------------------------------------


def of_folder(folder: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    open_dataset(FolderDataset(root=str(folder), table="t.csv", captions="text"))


def of_judgements(folder: Path) -> None:
    read_judgements(folder / "t.csv", ["a.png"], ["a.png"], None)


def of_shard(folder: Path) -> None:
    open_csv(folder / "t.csv")


@pytest.mark.parametrize(
    ("read", "header", "row"),
    [
        (of_folder, "path,text", "a.png,one"),
        (of_judgements, "query,relevant", "a.png,a.png"),
        (of_shard, "Image Path,Features", 'a.png,"[1.0, 2.0]"'),
    ],
)
def test_no_table_loses_a_part_of_a_row_silently(
    read: Callable[[Path], None], header: str, row: str, tmp_path: Path
) -> None:
    """A ragged row, a column that stands twice, an encoding that is not said."""
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\n{row}\n")
    read(tmp_path)
    first = header.partition(",")[0]
    for content, cause in (
        (f"{header}\n{row}\nmore,{row}\n".encode(), r"line 3 has 3 fields where the header has 2"),
        (f"{first},{header}\nx,{row}\n".encode(), f"several columns called {first}"),
        (f"{header}\n{row}\ncaf\xe9,{row.split(',', 1)[1]}\n".encode("latin-1"), "line 3 is not UTF-8"),
    ):
        table.write_bytes(content)
        with pytest.raises((DatasetError, QueryError), match=cause):
            read(tmp_path)
