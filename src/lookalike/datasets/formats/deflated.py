"""Any part of a deflated stream, without unpacking what lies before it each time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.errors import DatasetError

FEED_BYTES = 1 << 16
PIECE_BYTES = 1 << 20
"""Unpacked at a time at most."""
MARK_BYTES = 8 << 20
"""Unpacked bytes between two places from which reading can go on; each costs some 50 KB of memory."""
MOST_FOLD = 1_032
"""Deflate packs nothing tighter: 258 bytes in two bits."""


@dataclass
class _Cursor:
    """A state of the decompressor, and how far it has come."""

    unpacker: Any
    packed: int = 0
    unpacked: int = 0

    def copy(self) -> _Cursor:
        return _Cursor(self.unpacker.copy(), self.packed, self.unpacked)


class DeflatedBytes:
    """The unpacked bytes of one raw deflate stream inside a file: ``size`` of them, CRC-32 ``crc``.

    Reading forwards goes on where the last reading ended, reading backwards starts from the nearest mark.
    DatasetError when the stream is damaged or ends early.
    """

    def __init__(self, file: Path, offset: int, packed_size: int, size: int, crc: int) -> None:
        self.file, self.offset, self.packed_size, self.size, self.crc = file, offset, packed_size, size, crc
        self._cursor = _Cursor(zlib.decompressobj(wbits=-zlib.MAX_WBITS))
        self._marks = [self._cursor.copy()]
        self._checked, self._crc_so_far = 0, 0

    def read(self, start: int, stop: int) -> bytearray:
        """Return bytes start to stop."""
        self._go_to(start)
        parts = bytearray()
        with self.file.open("rb") as stream:
            while self._cursor.unpacked < stop:
                first = self._cursor.unpacked
                piece = self._next_piece(stream, min(PIECE_BYTES, stop - first))
                parts += piece[max(0, start - first) :]
        return parts

    def _go_to(self, start: int) -> None:
        nearest = max(
            (mark for mark in self._marks if mark.unpacked <= start), key=lambda mark: mark.unpacked
        )
        if not nearest.unpacked <= self._cursor.unpacked <= start:
            self._cursor = nearest.copy()

    def _next_piece(self, stream: Any, at_most: int) -> bytes:
        cursor = self._cursor
        stream.seek(self.offset + cursor.packed)
        feed = stream.read(min(FEED_BYTES, self.packed_size - cursor.packed))
        try:
            piece: bytes = cursor.unpacker.decompress(feed, at_most)
        except zlib.error as error:
            raise DatasetError(f"{self.file} is damaged ({error}); copy it again") from error
        consumed = len(feed) - len(cursor.unpacker.unconsumed_tail)
        if not piece and not consumed:
            raise DatasetError(
                f"{self.file} is damaged: it unpacks to {cursor.unpacked:,} bytes where it announces "
                f"{self.size:,}; copy it again"
            )
        self._check(piece, cursor.unpacked)
        cursor.packed += consumed
        cursor.unpacked += len(piece)
        if cursor.unpacked - self._marks[-1].unpacked >= MARK_BYTES:
            self._marks.append(cursor.copy())
        return piece

    def _check(self, piece: bytes, first: int) -> None:
        """Follow the CRC as far as the stream was read without gaps, and compare it at the end."""
        if first > self._checked or first + len(piece) <= self._checked:
            return
        self._crc_so_far = zlib.crc32(piece[self._checked - first :], self._crc_so_far)
        self._checked = first + len(piece)
        if self._checked == self.size and self._crc_so_far != self.crc:
            raise DatasetError(f"{self.file} is damaged (its CRC-32 is not what it says); copy it again")
