"""Columns of text out of CSV, TSV and parquet files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

from lookalike.errors import DatasetError

Columns = dict[str, list[str | None]]


def read_columns(table: Path, columns: Sequence[str]) -> Columns:
    """Return the named columns as text, equally long; an empty or missing value is None.

    The ending tells the format: ``.csv``, ``.tsv`` (UTF-8, a header line) or ``.parquet``. Raises
    DatasetError when the table is missing, damaged or of another format, or lacks a column.
    """
    readers: dict[str, Callable[[Path, Sequence[str]], Columns]] = {
        ".csv": _read_text,
        ".tsv": _read_text,
        ".parquet": _read_parquet,
    }
    reader = readers.get(table.suffix.lower())
    if reader is None:
        raise DatasetError(f"{table} is no table; name a .csv, .tsv or .parquet file")
    if not table.is_file():
        raise DatasetError(f"the table {table} does not exist; check its name")
    return reader(table, list(dict.fromkeys(columns)))


def _read_text(table: Path, columns: Sequence[str]) -> Columns:
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter, strict=True)
            _check(table, columns, rows.fieldnames or ())
            values: Columns = {column: [] for column in columns}
            for row in rows:
                for column in columns:
                    values[column].append(row[column] or None)
            return values
    except UnicodeDecodeError as error:
        raise DatasetError(f"{table} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{table} is not a readable CSV file ({error}); mend or re-export it") from error
    except OSError as error:
        raise DatasetError(f"{table} cannot be read ({error.strerror}); check its permissions") from error


def parquet_shape(table: Path) -> tuple[int, list[str]]:
    """Return the number of rows and the columns' names; DatasetError when the file is not readable."""
    with _parquet(table) as file:
        return file.metadata.num_rows, list(file.schema_arrow.names)


def _read_parquet(table: Path, columns: Sequence[str]) -> Columns:
    with _parquet(table) as file:
        _check(table, columns, file.schema_arrow.names)
        read = file.read(columns=list(columns))
    return {column: [_text(value) for value in read.column(column).to_pylist()] for column in columns}


@contextmanager
def _parquet(table: Path) -> Iterator[Any]:
    """Open a parquet file; what pyarrow finds wrong with it while it is open becomes a DatasetError."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{table} is not a readable parquet file ({reason}); write it again") from error


def _text(value: Any) -> str | None:
    missing = value is None or value == "" or (isinstance(value, float) and isnan(value))  # NaN: by pandas
    return None if missing else str(value)


def _check(table: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    missing = [column for column in columns if column not in present]
    if missing:
        raise DatasetError(
            f"{table} has no column {', '.join(missing)}; it has {', '.join(present) or 'no columns at all'}"
        )
