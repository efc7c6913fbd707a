"""Standard streams that can be written to whatever their encoding, and when their reader has left."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

ERRORS = "lookalike.plain"
"""The error handler for what an encoding lacks."""

PLAIN = str.maketrans(
    dict(zip("–—·×•✓✗→²“”’─α", '--|x*+x>2""\'-a', strict=True)) | {"…": "...", "≥": ">=", "≤": "<="}
)
"""What a typewriter has for the signs that our own texts and tables use."""


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace signs by plain ones, keep bytes of file names that are not UTF-8, escape all else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in lost):
        return bytes(ord(character) - 0xDC00 for character in lost), error.end
    plain = lost.translate(PLAIN)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(ERRORS, _plain)


class _TolerantFile(io.FileIO):
    """A descriptor that takes everything: what it could not write is dropped, and ``failure`` says why."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                while (
                    written := super().write(data)
                ) is None:  # another program made the terminal non-blocking
                    select.select([], [self], [])
            except OSError as error:
                self.failure = error
            else:
                return written
        return len(data)


def tolerant(descriptor: int, like: TextIO) -> io.TextIOWrapper:
    """Return a text stream on ``descriptor``, encoded and buffered as ``like``, that never raises on writing.

    The descriptor stays open when the stream is closed.
    """
    raw = _TolerantFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=ERRORS,
        line_buffering=getattr(like, "line_buffering", False),
        write_through=getattr(like, "write_through", False),
    )


def prepare() -> None:
    """Make the standard streams of this process tolerant, and open those that are closed on nothing.

    A descriptor that is closed would be taken by the next file that is opened, and C++ code prints there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor
    if _is_real(sys.stdout, 1):
        sys.stdout = tolerant(1, sys.stdout)
    if _is_real(sys.stderr, 2):
        sys.stderr = tolerant(2, sys.stderr)


def _is_real(stream: TextIO | None, descriptor: int) -> bool:
    """Whether a stream is the process's own, and neither missing nor replaced."""
    try:
        return stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        return False


def failure_of_output() -> OSError | None:
    """Return why what was printed on standard output did not arrive; None when it did, or its reader left.

    A reader that left (``lookalike store ls | head``) has read what it wanted.
    """
    if sys.stdout is None:
        return None
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = raw.failure if isinstance(raw, _TolerantFile) else None
    return None if failure is None or failure.errno == errno.EPIPE else failure
