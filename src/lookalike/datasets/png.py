"""A PNG without what its pixels do not need: text, colour profiles and later frames are never read."""

from __future__ import annotations

import io
import os
import zlib
from bisect import bisect_right
from typing import BinaryIO

from lookalike.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 8
"""Of a chunk: its length and its name; four bytes of checksum follow the data."""
PIXELS = frozenset({b"tRNS", b"eXIf"})
"""Chunks beside the critical ones that shape what is shown: transparency and orientation."""
TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
WITH_ORIENTATION = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""Texts that older programs keep the orientation in."""
LONGEST_KEPT = 1 << 16
"""Bytes of a chunk beside the critical ones, as it stands in the file; a longer one is left out."""
MOST_LEFT_OUT = 100_000
"""Chunks that are left out; each costs a look at its header, and no program writes so many."""
LARGEST_INFLATED = 1 << 20
"""Bytes that a compressed text with the orientation may have."""


def is_png(prefix: bytes) -> bool:
    """Whether a file that begins with ``prefix`` is a PNG."""
    return prefix.startswith(SIGNATURE)


class PixelChunks(io.RawIOBase):
    """A PNG file as it would be without the chunks that its pixels do not need, read from ``file``.

    Left out are all ancillary chunks but transparency and orientation: compressed text and colour profiles
    can grow a thousandfold when they are inflated, and decoders refuse a healthy image for their size. So
    are the frames of an animation behind the first. A damaged or truncated file is passed on as far as its
    chunks can be followed; ImageError when there are more than :data:`MOST_LEFT_OUT` to leave out. Memory:
    a pair of numbers for each stretch that is kept.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._starts: list[int] = [0]
        """Where in this file each stretch begins; and, last, where the last one ends."""
        self._places: list[int] = []
        """Where in ``file`` each stretch begins."""
        self._position = 0
        self.bits_per_pixel = 0
        """As the header says; 0 when there is none."""
        self._find_stretches(file.seek(0, os.SEEK_END))

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in what is kept."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within what is kept."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes, fewer only at the end."""
        end = self._starts[-1]
        stop = end if size is None or size < 0 else min(self._position + size, end)
        parts = []
        while self._position < stop:
            stretch = bisect_right(self._starts, self._position) - 1
            wanted = min(stop, self._starts[stretch + 1]) - self._position
            self._file.seek(self._places[stretch] + self._position - self._starts[stretch])
            part = self._file.read(wanted)
            parts.append(part)
            self._position += len(part)
            if len(part) < wanted:
                break  # the file shrank
        return b"".join(parts)

    def _find_stretches(self, size: int) -> None:
        self._keep(0, min(len(SIGNATURE), size))
        position, seen, left_out = len(SIGNATURE), set[bytes](), 0
        while position + HEADER_BYTES <= size:
            self._file.seek(position)
            header = self._file.read(HEADER_BYTES)
            length, name = int.from_bytes(header[:4]), header[4:]
            end = min(position + HEADER_BYTES + length + 4, size)
            if name == b"IHDR" and not self.bits_per_pixel:
                self.bits_per_pixel = _bits_per_pixel(self._file.read(13))
            if self._is_needed(name, length, seen):
                self._keep(position, end)
            elif (left_out := left_out + 1) > MOST_LEFT_OUT:
                raise ImageError(f"it holds more than {MOST_LEFT_OUT:,} chunks beside its pixels")
            position = end
            if name == b"IEND":
                return

    def _is_needed(self, name: bytes, length: int, seen: set[bytes]) -> bool:
        if not name.isalnum() or name[:1].isupper():
            return True  # critical, or damaged: that is for the decoder to say
        if length > LONGEST_KEPT or name not in PIXELS | TEXT:
            return False
        if name in PIXELS:
            first = name not in seen
            seen.add(name)
            return first
        content = self._file.read(length)
        keyword = next((one for one in WITH_ORIENTATION if content.startswith(one)), None)
        if keyword is None or keyword in seen or not _stays_small(name, content[len(keyword) :]):
            return False
        seen.add(keyword)
        return True

    def _keep(self, start: int, end: int) -> None:
        if self._places and self._places[-1] + self._starts[-1] - self._starts[-2] == start:
            self._starts[-1] += end - start  # goes on where the last stretch ended
        else:
            self._places.append(start)
            self._starts.append(self._starts[-1] + end - start)


def _stays_small(name: bytes, content: bytes) -> bool:
    """Whether a text, the keyword and its end mark taken off, does not grow when it is inflated."""
    if name == b"iTXt" and content[:1] == b"\1":
        compressed = content[2:].split(b"\0", 2)[-1]
    elif name == b"zTXt":
        compressed = content[1:]
    else:
        return True
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(compressed, LARGEST_INFLATED - 1)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail


def _bits_per_pixel(header: bytes) -> int:
    """Bit depth × channels of the colour type."""
    if len(header) < 13:
        return 0
    return header[8] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(header[9], 1)
