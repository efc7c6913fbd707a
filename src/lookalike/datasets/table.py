"""Columns of text out of CSV, TSV and parquet files."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

from lookalike.errors import DatasetError, foreign_parser, parser_reason

Columns = dict[str, list[str | None]]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""What may stand between fields; the header tells which does."""
LONGEST_FIELD = 16 << 20
"""Characters; a longer field is one whose quotes are never closed."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a text file says its encoding."""
SAVE_AS_UTF8 = "save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 does it for Latin-1)"
ROWS_PER_BYTE, ROWS_ALWAYS = 4_096, 1 << 20
"""A parquet that announces more rows than its size explains is damaged or made to take memory."""


def read_columns(table: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Return the named columns as text, equally long, and of the ``optional`` ones those that there are.

    An empty or missing value is None.

    The ending tells the format: ``.parquet``, or ``.csv`` and ``.tsv``: a header line, then records of as
    many fields, separated by commas, semicolons, tabs or bars, in UTF-8 or in what a byte order mark says.
    Raises DatasetError when the table is missing, damaged or of another format, or has a column not once; of
    a text, with the line.
    """
    readers: dict[str, Callable[[Path, Sequence[str], Sequence[str]], Columns]] = {
        ".csv": _read_text,
        ".tsv": _read_text,
        ".parquet": _read_parquet,
    }
    reader = readers.get(table.suffix.lower())
    if reader is None:
        raise DatasetError(f"{table} is not a table; name a .csv, .tsv or .parquet file")
    if not table.is_file():
        fault = "is not a file" if table.exists() else "does not exist"
        raise DatasetError(f"the table {table} {fault}; check its name")
    return reader(table, list(dict.fromkeys(columns)), optional)


def encoding_of(file: Path) -> str:
    """Return the encoding that a text file's byte order mark says, UTF-8 without one.

    Raises DatasetError when the file cannot be read, or begins as no text does.
    """
    with foreign_parser(f"{file} cannot be read", "check what it is"), file.open("rb") as stream:
        start = stream.read(4_096)
    if start.startswith(b"PK\x03\x04"):
        raise DatasetError(f"{file} is an archive or an Excel workbook; save the table as CSV")
    if start.startswith(b"\x1f\x8b"):
        raise DatasetError(f"{file} is compressed by gzip; unpack it with gunzip")
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    if b"\0" in start[:4]:
        raise DatasetError(
            f"{file}, line 1 holds zero bytes: it is UTF-16 without a byte order mark, or no text; save the "
            "file as UTF-8"
        )
    return "utf-8"


def undecodable(file: Path, encoding: str, error: UnicodeError) -> DatasetError:
    """Return the error that names the first line of ``file`` that is not in ``encoding``."""
    if encoding.startswith("utf-8"):
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as odd:
                    byte = line[odd.start]
                    return DatasetError(
                        f"{file}, line {number} is not UTF-8 (byte 0x{byte:02x}); {SAVE_AS_UTF8}"
                    )
    return DatasetError(f"{file} is not {encoding.upper()} ({parser_reason(error)}); save the file as UTF-8")


def _read_text(table: Path, columns: Sequence[str], optional: Sequence[str]) -> Columns:
    encoding = encoding_of(table)
    separator, header = _header(table, encoding, columns)
    columns = _chosen(table, columns, optional, header)
    places = {column: header.index(column) for column in columns}
    values: Columns = {column: [] for column in columns}
    records = _records(table, encoding, separator)
    next(records, None)
    for line, record in records:
        if len(record) > 1 and not any(record):
            continue  # a row of separators alone, as spreadsheets leave them at the end
        if len(record) < len(header) or any(record[len(header) :]):
            raise DatasetError(
                f"{table}, line {line} has {len(record)} fields where the header has {len(header)}; put a "
                f"text that holds a {SEPARATORS.get(separator, separator)} in quotes, or mend the line"
            )
        for column, place in places.items():
            values[column].append(record[place] or None)
    return values


def _header(table: Path, encoding: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Return the separator by which the header has all ``columns``, and its names.

    Where none does: that by which it has the most names.
    """
    usual = "\t" if table.suffix.lower() == ".tsv" else ","
    found: dict[str, list[str]] = {}
    unreadable: DatasetError | None = None
    for separator in (usual, *(sign for sign in SEPARATORS if sign != usual)):
        try:
            _, names = next(_records(table, encoding, separator), (0, []))
        except DatasetError as error:  # "a";"b" is none where commas separate
            unreadable = unreadable or error
            continue
        found[separator] = [name if name in columns else name.strip() for name in names]
        if set(columns) <= set(found[separator]):
            return separator, found[separator]
    if unreadable is not None and not any(len(names) > 1 for names in found.values()):
        raise unreadable
    return max(found.items(), key=lambda pair: len(pair[1]))


def _records(table: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that a record begins on, and its fields; empty lines and Excel's ``sep=;`` are none."""
    csv.field_size_limit(LONGEST_FIELD)  # of the process; Python's own is 131,072
    line = 1
    try:
        with table.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            for record in reader:
                if record and not (line == 1 and re.fullmatch(r"sep=.?", separator.join(record))):
                    yield line, record
                line = reader.line_num + 1
    except UnicodeError as error:
        raise undecodable(table, encoding, error) from error
    except csv.Error as error:
        raise DatasetError(
            f"{table} is not a readable CSV file: line {line} and what follows ({error}); see that its "
            "quotes are closed and doubled inside a field"
        ) from error
    except OSError as error:
        raise DatasetError(f"{table} cannot be read ({error.strerror}); check its permissions") from error


def parquet_shape(table: Path) -> tuple[int, list[str]]:
    """Return the number of rows and the columns' names; DatasetError when the file is not readable."""
    with _parquet(table) as file:
        return file.metadata.num_rows, list(file.schema_arrow.names)


def _read_parquet(table: Path, columns: Sequence[str], optional: Sequence[str]) -> Columns:
    with _parquet(table) as file:
        columns = _chosen(table, columns, optional, file.schema_arrow.names)
        read = file.read(columns=columns)
        return {
            column: [
                _text(value, table, column, row) for row, value in enumerate(read.column(column).to_pylist())
            ]
            for column in columns
        }


@contextmanager
def _parquet(table: Path) -> Iterator[Any]:
    """Open a parquet file; what pyarrow finds wrong with it while it is open becomes a DatasetError."""
    from pyarrow import parquet

    broken = foreign_parser(f"{table} is not a readable parquet file", "write it again")
    with broken, parquet.ParquetFile(table) as file:
        rows, size = file.metadata.num_rows, table.stat().st_size
        if not 0 <= rows <= ROWS_ALWAYS + ROWS_PER_BYTE * size:
            raise DatasetError(
                f"{table} announces {rows:,} rows, which its {size:,} bytes cannot hold; write it again"
            )
        yield file


def _text(value: Any, table: Path, column: str, row: int) -> str | None:
    if value is None or value == "" or (isinstance(value, float) and isnan(value)):  # NaN: by pandas
        return None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"row {row + 1} of {column} in {table} is not UTF-8; write the column as text"
            ) from error
    if isinstance(value, list | dict):
        raise DatasetError(
            f"row {row + 1} of {column} in {table} holds several values; write a column of one text a row"
        )
    return str(value)


def _chosen(
    table: Path, columns: Sequence[str], optional: Sequence[str], present: Sequence[str]
) -> list[str]:
    """Return the columns to read; DatasetError when one that is not optional is missing."""
    missing = [column for column in columns if column not in present]
    if missing:
        raise DatasetError(
            f"{table} has no column {', '.join(missing)}; it has {', '.join(present) or 'no columns at all'}"
        )
    columns = [*columns, *(column for column in dict.fromkeys(optional) if column in present)]
    if twice := [column for column in columns if list(present).count(column) > 1]:
        raise DatasetError(f"{table} has several columns called {', '.join(twice)}; rename all but one")
    return columns
