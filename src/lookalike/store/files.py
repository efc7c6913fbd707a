"""Hashing, syncing and atomic writing: what the store asks of a file system."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import UserError
from lookalike.progress import Bar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHUNK_BYTES = 1 << 20
JSON_BYTES = 1 << 28
JSON_DEPTH = 64
"""What no JSON file of ours comes near to: a larger or deeper one is damaged, or made to harm."""
STALE_SECONDS = 3600.0
"""A draft this old has no writer: none takes longer for one file."""


def token() -> str:
    """A name that nobody else picks."""
    return os.urandom(6).hex()


def sha256_of(path: Path, bar: Bar) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; ``bar`` advances by bytes."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            bar.advance(count)
    return digest.hexdigest()


def stamp_of(path: Path) -> list[int]:
    """What changes when a file does: size, mtime_ns, inode."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order of its path."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name)
        else:
            yield folder / entry.name


def bytes_below(path: Path) -> int:
    """Size of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir():
            return path.lstat().st_size
        return sum(bytes_below(Path(entry.path)) for entry in os.scandir(path))
    except FileNotFoundError:
        return 0


def fsync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write all of ``value`` or nothing: readers see the old file or the new one, also after a power cut."""
    draft = path.with_name(f".{path.name}.{token()}")
    try:
        with draft.open("x", encoding="ascii") as file:
            json.dump(value, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        fsync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def is_draft(path: Path) -> bool:
    """Whether a file is one that :func:`write_json` was writing when its process was killed."""
    return re.fullmatch(r"\..+\.[0-9a-f]{12}", path.name) is not None


def read_json(path: Path) -> Any:
    """Return the value in a JSON file that Lookalike wrote, whatever may have become of it since.

    Raises ``ValueError`` with the reason when the file is not a regular one, holds more than ``JSON_BYTES``,
    is not JSON, is nested deeper than ``JSON_DEPTH``, or holds NaN or infinities;
    ``OSError`` when it cannot be read. A pipe in its place is not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > JSON_BYTES:
            raise ValueError(f"it holds {readable_bytes(status.st_size)}, which is too much")
        content = file.read()
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
    _check_plain(value)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _check_plain(value: Any) -> None:
    """Raise ``ValueError`` for what JSON lets through and later steps cannot hold."""
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if depth > JSON_DEPTH:
            raise ValueError("it is nested too deeply")
        if isinstance(item, dict):
            waiting += [(each, depth + 1) for pair in item.items() for each in pair]
        elif isinstance(item, list):
            waiting += [(each, depth + 1) for each in item]
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("it holds a number that is too large")


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove files of ``folder`` that match ``pattern`` and are older than ``STALE_SECONDS``.

    For drafts that a process left which was killed while it wrote. What cannot be removed stays.
    """
    with suppress(OSError):
        for path in folder.glob(pattern):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > STALE_SECONDS:
                    path.unlink()


def new_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new ``.npy`` file, mapped for writing, whose room on the disk is taken at once.

    ``OSError`` when there is not enough: found out later, by writing to the map, it kills the process.
    """
    import numpy as np

    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def says_disk_full(error: BaseException) -> bool:
    """Whether an error means that a disk or quota is full, whichever library raised it.

    FAISS raises a ``RuntimeError`` that ends in the system's words, ``numpy.save`` an ``OSError``
    without a number ("1024 requested and 0 written").
    """
    if isinstance(error, UserError):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = str(error)
    return os.strerror(errno.ENOSPC) in text or bool(re.search(r"\d+ requested and \d+ written", text))


def readable_bytes(count: float) -> str:
    """A number of bytes for people: "12.3 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
