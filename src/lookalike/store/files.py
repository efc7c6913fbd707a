"""Hashing, syncing and atomic writing: what the store asks of a file system."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import UserError
from lookalike.progress import Bar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHUNK_BYTES = 1 << 20


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
