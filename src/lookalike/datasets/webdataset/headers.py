"""Where the bytes of a tar's members lie, by headers that are not believed until the file bears them out.

Nothing is ever opened by a member's name, and nothing is allocated by a size that a header announces: a name
is a text, a size is compared with what is left of the file.
(https://www.gnu.org/software/tar/manual/html_node/Standard.html; pax: POSIX.1-2001.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lookalike.datasets.ids import id_of
from lookalike.errors import DatasetError

BLOCK = 512
WINDOW = 4 * BLOCK
"""Read at once: a pax header, its records and the header that they belong to."""
LONGEST_RECORDS = 1 << 20
"""Of a long name or of pax records; more is not needed."""

LATEST_SECONDS = 1 << 40
"""Of a time of writing; some 35,000 years."""

REGULAR, SPARSE = frozenset(b"0\x007"), ord("S")
LONG_NAME, PAX, SKIPPED_RECORDS = ord("L"), ord("x"), frozenset(b"gK")
WITHOUT_DATA = frozenset(b"123456")
"""Links, devices, folders and pipes: no data follows, even where their header announces a size."""
FOLDER = ord("5")


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of a tar."""

    name: str
    offset: int
    """Of its first byte in the tar."""
    size: int
    mtime: int
    """Seconds since 1970."""


@dataclass
class Members:
    """What the headers of one tar say."""

    files: list[Member] = field(default_factory=list)
    left_out: int = 0
    """Links, devices and names that lead out of the tar."""
    cut: str | None = None
    """Why what comes behind the last member cannot be read; None: the tar is whole."""


class _Damage(Exception):
    """The headers make no sense from here on."""


def read_members(file: BinaryIO, path: Path) -> Members:
    """Return the regular files of an open tar, in its order; ``path`` is for messages.

    A tar that is cut short, or whose headers are damaged further on, gives what stands before (see
    ``Members.cut``), be it nothing. Raises DatasetError when what stands first is not a header, or for sparse
    members.
    """
    members, walk = Members(), _Walk(file)
    try:
        while walk.step(members):
            pass
    except _Damage as damage:
        members.cut = str(damage)
    except _NoTar:
        if os.pread(file.fileno(), 2, 0) == b"\x1f\x8b":
            cure = "it is compressed: unpack it with gunzip, for its images are read in place"
        else:
            cure = "remove it or write it again"
        raise DatasetError(f"{path} is not a tar file; {cure}") from None
    except _Sparse:
        raise DatasetError(f"{path} has sparse members; write it again without tar's option -S") from None
    return members


class _NoTar(Exception):
    """What stands first is not a header."""


class _Sparse(Exception):
    """A member whose bytes are not those in the tar."""


class _Walk:
    """From header to header."""

    def __init__(self, file: BinaryIO) -> None:
        self.descriptor = file.fileno()
        self.size = os.fstat(self.descriptor).st_size
        self.position = 0
        self._window, self._window_start = b"", 0
        self._name: str | None = None
        self._announced: int | None = None

    def step(self, members: Members) -> bool:
        """Read one header, and what it says; False at the end of the tar."""
        header = self._read(self.position, BLOCK)
        if len(header) < BLOCK:
            raise _Damage("it ends without an end mark" if header == b"" else "it ends inside a header")
        if not any(header):
            return False
        if not _checksum_holds(header):
            if self.position == 0:
                raise _NoTar
            raise _Damage(f"there is no header at byte {self.position:,}")
        kind, start = header[156], self.position + BLOCK
        size = 0 if kind in WITHOUT_DATA else self._size(header)
        if kind == SPARSE:
            raise _Sparse
        if kind in (LONG_NAME, PAX):
            self._remember(kind, self._records(start, size))
        elif start + size > self.size:
            raise _Damage(f"it ends inside {self._name or _name(header)}")
        elif kind not in SKIPPED_RECORDS:
            self._add(members, kind, start, size, header)
        self.position = start + -(-size // BLOCK) * BLOCK
        return True

    def _add(self, members: Members, kind: int, start: int, size: int, header: bytes) -> None:
        name = self._name or _name(header)
        self._name = self._announced = None
        if kind == FOLDER:
            return
        if kind in REGULAR and _stays_inside(name):
            members.files.append(Member(name, start, size, _time(header[136:148])))
        else:
            members.left_out += 1

    def _size(self, header: bytes) -> int:
        size = _number(header[124:136])
        if self._announced is not None and header[156] in REGULAR:
            size = self._announced
        return size

    def _records(self, start: int, size: int) -> bytes:
        if size > LONGEST_RECORDS:
            raise _Damage(f"its header at byte {start - BLOCK:,} announces {size:,} bytes of names")
        records = self._read(start, size)
        if len(records) < size:
            raise _Damage("it ends inside a header")
        return records

    def _remember(self, kind: int, records: bytes) -> None:
        """Keep what holds for the next member."""
        if kind == LONG_NAME:
            self._name = _text(records.partition(b"\0")[0])
            return
        values = _pax_values(records)
        if any(name.startswith(b"GNU.sparse") for name in values):
            raise _Sparse
        if b"path" in values:
            self._name = _text(values[b"path"])
        if b"size" in values:
            self._announced = _decimal(values[b"size"])

    def _read(self, start: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``start``, fewer at the end of the file."""
        there = start - self._window_start
        if there < 0 or there + size > len(self._window):
            self._window = os.pread(self.descriptor, max(size, WINDOW), start)
            self._window_start, there = start, 0
        return self._window[there : there + size]


def _checksum_holds(header: bytes) -> bool:
    """Whether the sum of all bytes is the announced one, that itself counted as blanks."""
    try:
        announced = _number(header[148:156])
    except _Damage:
        return False
    return announced == sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _number(digits: bytes) -> int:
    """An octal number, or GNU tar's base 256 for large ones."""
    if digits[0] == 0x80:
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b" \0")
    if not text:
        return 0
    if not all(ord("0") <= digit <= ord("7") for digit in text):
        raise _Damage("a header holds no number where one belongs")
    return int(text, 8)


def _time(digits: bytes) -> int:
    """Seconds since 1970; 0 for what is none or beyond all clocks, which costs no file."""
    try:
        seconds = int.from_bytes(digits, "big", signed=True) if digits[0] == 0xFF else _number(digits)
    except _Damage:
        return 0
    return seconds if abs(seconds) < LATEST_SECONDS else 0


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise _Damage("a pax record holds no number where one belongs")
    return int(digits)


def _pax_values(records: bytes) -> dict[bytes, bytes]:
    """``b"30 mtime=1350244992.023960108\\n"`` …: each record says its own length."""
    values: dict[bytes, bytes] = {}
    position = 0
    while position < len(records) and records[position]:
        blank = records.find(b" ", position, position + 20)
        end = position + _decimal(records[position : max(blank, position)])
        if not position < blank < end <= len(records):
            raise _Damage("a pax record is longer than its header")
        name, _, value = records[blank + 1 : end].removesuffix(b"\n").partition(b"=")
        values[name] = value
        position = end
    return values


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    return id_of(name.removeprefix(b"./"))


def _stays_inside(name: str) -> bool:
    """Whether a path below a folder would stay below it: those of WebDatasets do."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")
