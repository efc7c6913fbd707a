"""What tells that an image has changed: never where it lies, which changes with every mount and move."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lookalike.datasets.sets import ImageSet
from lookalike.errors import DatasetError
from lookalike.progress import Progress

FIRST_TELLING_MTIME_NS = 315_705_600 * 10**9
"""1980-01-03. Archives, packages and reproducible builds write the times before it, alike to every file."""


def stat_fingerprints(paths: Sequence[str], content_hash: Callable[[int], str]) -> list[str]:
    """Return a text for each file that changes with its size or mtime_ns: ``SIZE-MTIME``, hexadecimal.

    A file whose mtime tells nothing is hashed by its bytes: ``content_hash`` of its row. A file that is gone
    has a fingerprint too: decoding will say so.
    """
    return [_stat_fingerprint(path, row, content_hash) for row, path in enumerate(paths)]


def _stat_fingerprint(path: str, row: int, content_hash: Callable[[int], str]) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return "gone"
    if status.st_mtime_ns < FIRST_TELLING_MTIME_NS:
        return f"{status.st_size:x}-{content_hash(row)}"
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def content_fingerprints(images: ImageSet, progress: Progress) -> list[str]:
    """Return the SHA-256 of each encoded image; what cannot be read has a fingerprint too, see ImageSet."""
    with ThreadPoolExecutor() as pool, progress.bar("reading contents", len(images), "images") as bar:
        fingerprints = []
        for one in pool.map(images.content_hash, range(len(images))):
            fingerprints.append(one)
            bar.advance()
        return fingerprints


ENDS_BYTES = 4096
"""Read at the start and at the end of a file that holds many rows."""


def file_fingerprint(file: Path, size: int | None = None, mtime_ns: int | None = None) -> str:
    """Return a text that stands for a file of many images or vectors, wherever it lies.

    It changes with the file's name, size, mtime_ns, first and last bytes; these tell files apart that are
    alike in all else, as shards are. ``size``, ``mtime_ns``: as they were, where they are known. Raises
    DatasetError when the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            size, mtime_ns = size or status.st_size, mtime_ns or status.st_mtime_ns
            digest = hashlib.blake2b(b"%s\0%d\0" % (os.fsencode(file.name), mtime_ns), digest_size=8)
            digest.update(opened.read(ENDS_BYTES))
            opened.seek(max(0, size - ENDS_BYTES))
            digest.update(opened.read(ENDS_BYTES))
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
    return f"{size:x}-{digest.hexdigest()}"


def size_in(fingerprint: str) -> str:
    """Return the size that a fingerprint begins with; empty for one of contents, which has none."""
    return fingerprint.partition("-")[0] if "-" in fingerprint else ""
