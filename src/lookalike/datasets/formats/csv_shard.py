"""The original system's shards: ``Image Path,Features``, the features a Python list as quoted text.

Opening such a file finds where each row's list begins and ends and reads the paths; lists are parsed when
their rows are asked for, so nothing is held in memory but two numbers and a path a row.
"""

from __future__ import annotations

import csv
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.contents import MAX_DIM, EmptyFile, RowsInRuns, VectorFile, size_of
from lookalike.datasets.table import SAVE_AS_UTF8, encoding_of
from lookalike.errors import DatasetError, foreign_parser

PATHS, FEATURES, LABELS = "Image Path", "Features", ("Label", "label")
"""How columns are called; that of labels may be missing."""
SCANNED_AT_ONCE = 16 << 20
MAX_ROW_BYTES = 32 << 20
"""A longer row is one with an unclosed quote: 1,000,000 dimensions take less."""
PARSED_AT_ONCE = 8 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_csv(file: Path, array: str | None = None) -> VectorFile:
    """Find the rows of a shard; ids are its paths. Rows are parsed, and their values checked, when read.

    ``Features`` is the last column; ``Label`` (or ``label``), if there is one, has the labels; others than
    ``Image Path`` are passed over. DatasetError names the line of a row that has no list, and later of one
    whose list is malformed.
    """
    if size_of(file) == 0:
        raise DatasetError(f"{file} is empty; export it again")
    if (encoding := encoding_of(file)) not in ("utf-8", "utf-8-sig"):
        raise DatasetError(
            f"{file} is {encoding.upper()}; save it as UTF-8, whose rows can be found in place"
        )
    with foreign_parser(f"{file} cannot be read", "copy it again"), file.open("rb") as stream:
        text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    scan = _Scan(file, text)
    scan.read()
    if not scan.begins:
        raise EmptyFile(f"{file} has a header and no rows; export it again")
    begins, ends = np.array(scan.begins, np.int64), np.array(scan.ends, np.int64)
    columns = {} if scan.label_column is None else {"label": scan.labels}
    return VectorFile(CsvRows(file, text, begins, ends), scan.paths, columns=columns)


@dataclass
class _Scan:
    """One pass over a shard."""

    file: Path
    text: mmap.mmap
    begins: list[int] = field(default_factory=list)
    """Of each list, the first byte past its bracket."""
    ends: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    path_column: int = 0
    label_column: int | None = None
    path_columns: int = 1
    """Columns in front of the list's."""

    def read(self) -> None:
        rows = self._row_bounds()
        start, stop = next(rows)
        self._read_header(start, stop)
        for start, stop in rows:
            if stop > start:
                self._read_row(start, stop)

    def _row_bounds(self) -> Iterator[tuple[int, int]]:
        """Yield where rows begin and end: at line breaks that an even number of quotes stands before."""
        row_start, quotes_before = 0, 0
        for first in range(0, len(self.text), SCANNED_AT_ONCE):
            chunk = np.frombuffer(self.text, np.uint8, min(SCANNED_AT_ONCE, len(self.text) - first), first)
            breaks, quotes = np.flatnonzero(chunk == ord("\n")), np.flatnonzero(chunk == ord('"'))
            outside = (quotes_before + np.searchsorted(quotes, breaks)) % 2 == 0
            for end in (breaks[outside] + first).tolist():
                yield row_start, self._before_return(row_start, end)
                row_start = end + 1
            quotes_before += len(quotes)
            if first + len(chunk) - row_start > MAX_ROW_BYTES:
                raise self._error(row_start, "goes on for more than 32 MiB; close its quotes")
            del chunk
            _release_pages(self.text)
        if quotes_before % 2:
            raise self._error(row_start, "has a quote that is never closed; the file may be cut short")
        if row_start < len(self.text):
            yield row_start, self._before_return(row_start, len(self.text))

    def _before_return(self, start: int, end: int) -> int:
        return end - 1 if end > start and self.text[end - 1] == ord("\r") else end

    def _read_header(self, start: int, stop: int) -> None:
        header = self._fields(
            self.text[start : min(stop, start + MAX_ROW_BYTES)].removeprefix(BYTE_ORDER_MARK), start
        )
        if FEATURES not in header or PATHS not in header:
            raise DatasetError(
                f"{self.file} has no columns {PATHS} and {FEATURES} ({', '.join(header)[:200]}), "
                "separated by commas; name shards of the original system, or set dataset.format"
            )
        if header[-1] != FEATURES:
            raise DatasetError(f"{FEATURES} is not the last column of {self.file}; export it so")
        for name in (PATHS, FEATURES, *LABELS):
            if header.count(name) > 1:
                raise DatasetError(f"{self.file} has several columns called {name}; rename all but one")
        self.path_column, self.path_columns = header.index(PATHS), len(header) - 1
        self.label_column = next((header.index(name) for name in LABELS if name in header), None)

    def _read_row(self, start: int, stop: int) -> None:
        """Take note of one row; the list's quotes are left out where a list of one has none."""
        opening, closing = b',"[', b']"'
        bracket = self.text.find(opening, start, stop)
        if bracket < 0:
            opening, closing = b",[", b"]"
            bracket = self.text.rfind(opening, start, stop)
        if bracket < 0:
            raise self._error(start, f"has no list of numbers; {FEATURES} is a list in brackets")
        if self.text[stop - len(closing) : stop] != closing:
            raise self._error(start, "has no ] at its end; the file may be cut short")
        path = self.text[start:bracket]
        if b'"' in path or b"," in path or self.path_columns > 1:
            fields = self._fields(path, start)
            if len(fields) != self.path_columns:
                raise self._error(
                    start,
                    f"has {len(fields) + 1} fields where the header has {self.path_columns + 1}; put a path "
                    "that holds a comma in quotes",
                )
            self.paths.append(fields[self.path_column])
            if self.label_column is not None:
                self.labels.append(fields[self.label_column] or None)
        else:
            self.paths.append(self._decoded(path, start))
        self.begins.append(bracket + len(opening))
        self.ends.append(stop - len(closing))

    def _fields(self, text: bytes, start: int) -> list[str]:
        csv.field_size_limit(MAX_ROW_BYTES)
        try:
            return next(csv.reader([self._decoded(text, start)], strict=True), [])
        except csv.Error as error:
            raise self._error(start, f"is not readable ({error})") from error

    def _decoded(self, text: bytes, start: int) -> str:
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error(start, f"is not UTF-8 ({error.reason}); {SAVE_AS_UTF8}") from error

    def _error(self, start: int, what: str) -> DatasetError:
        return DatasetError(f"{self.file}, line {_line(self.text, start)} {what}")


class CsvRows(RowsInRuns):
    """Lists of a shard, parsed when their rows are read."""

    def __init__(
        self, file: Path, text: mmap.mmap, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> None:
        self.file, self.text, self.begins, self.ends = file, text, begins, ends
        dim = self._list(0).count(b",") + 1
        if dim > MAX_DIM:
            raise DatasetError(f"{file}, line {self._line(0)} has {dim:,} values; no vector is that long")
        super().__init__((len(begins), dim), np.float32)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        found = np.empty((stop - start, self.shape[1]), np.float32)
        for first, last in self._blocks(start, stop):
            found[first - start : last - start] = self._parse(first, last)
        _release_pages(self.text)
        return found

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Cut rows start to stop into parts of a few megabytes of text."""
        while start < stop:
            last = int(np.searchsorted(self.ends, self.begins[start] + PARSED_AT_ONCE))
            end = min(max(last, start + 1), stop)
            yield start, end
            start = end

    def _parse(self, start: int, stop: int) -> Floats:
        texts = [self._list(row) for row in range(start, stop)]
        vectors = parse_lists(texts, self.shape[1])
        return vectors if vectors is not None else self._parse_one_by_one(texts, start)

    def _parse_one_by_one(self, texts: list[bytes], first: int) -> Floats:
        """Find the row at fault and name it; what only the fast way cannot read is read."""
        found = np.empty((len(texts), self.shape[1]), np.float32)
        for place, text in enumerate(texts):
            try:
                found[place] = parse_list(text, self.shape[1])
            except ValueError as error:
                raise DatasetError(
                    f"{self.file}, line {self._line(first + place)} {error}; mend or remove it"
                ) from None
        return found

    def _list(self, row: int) -> bytes:
        return self.text[int(self.begins[row]) : int(self.ends[row])]

    def _line(self, row: int) -> int:
        return _line(self.text, int(self.begins[row]))


def _release_pages(text: mmap.mmap) -> None:
    """Give back the memory of what was read; it is paged in again when needed."""
    if hasattr(mmap, "MADV_DONTNEED"):
        text.madvise(mmap.MADV_DONTNEED)


def _line(text: mmap.mmap, position: int) -> int:
    """Return the number of the line, from 1, that a byte of the file stands in."""
    counted = 1
    for first in range(0, position, SCANNED_AT_ONCE):
        counted += text[first : min(first + SCANNED_AT_ONCE, position)].count(b"\n")
    return counted


Floats = npt.NDArray[np.float32]

BLOCK_BYTES = 1 << 20
"""What one thread of Arrow parses at a time."""


def parse_lists(texts: Sequence[bytes], dim: int) -> Floats | None:
    """Return lists such as ``b"0.5, -1e-3"`` as float32 of shape (texts, dim); None if any is malformed.

    Malformed: another number of values, a value that is not a number, NaN or infinity (for float32 too).
    """
    if any(text.count(b",") != dim - 1 for text in texts):
        return None
    values = _parse_lines(b"\n".join(texts).replace(b",", b"\n"), len(texts) * dim)
    return None if values is None else values.reshape(len(texts), dim)


def _parse_lines(lines: bytes, count: int) -> Floats | None:
    """Parse one value a line: to Arrow's CSV reader that is one column, and the shortest way there is."""
    import pyarrow
    from pyarrow import csv

    try:
        table = csv.read_csv(
            pyarrow.BufferReader(lines),
            read_options=csv.ReadOptions(column_names=["value"], block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types={"value": pyarrow.float32()}, null_values=[]),
        )
    except pyarrow.ArrowException:  # the slow way names what is wrong
        return None
    values: Floats = table["value"].to_numpy()
    return values if len(values) == count and bool(np.isfinite(values).all()) else None


def parse_list(text: bytes, dim: int) -> list[float]:
    """Return one list's values; ValueError with the reason, in words, when it is malformed."""
    parts = text.split(b",")
    if len(parts) != dim:
        raise ValueError(f"has {len(parts):,} values where the first row has {dim:,}")
    return [_parse_value(part, place) for place, part in enumerate(parts, 1)]


def _parse_value(part: bytes, place: int) -> float:
    text = part.strip().decode(errors="replace")
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"has {shown!r} as value {place:,}, which is not a number") from None
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(value)):
            raise ValueError(f"has {shown!r} as value {place:,}, which nothing can rank")
    return value
