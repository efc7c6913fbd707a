"""Atomic writing, hashing, and JSON files of ours: what is asked of a file system."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
"""No JSON file of ours comes near these: a larger or deeper one is damaged, or made to harm."""
STALE_SECONDS = 3600.0
"""A draft this old has no writer: none takes longer for one file."""


def token() -> str:
    """Return a name that no other process picks: 12 hexadecimal digits."""
    return os.urandom(6).hex()


def sha256_of(path: Path, bar: Bar) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal; ``bar`` advances by bytes."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            bar.advance(count)
    return digest.hexdigest()


def stamp_of(path: Path) -> list[int]:
    """Return what changes when a file does: size, mtime_ns, inode."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in the order of their paths."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name)
        else:
            yield folder / entry.name


def bytes_below(path: Path) -> int:
    """Return the size of a file, or of all files below a folder; what vanishes meanwhile counts as 0."""
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


@contextmanager
def atomic_write(
    path: Path, publish: Callable[[Path, Path], object] = os.replace, *, durable: bool = True
) -> Iterator[Path]:
    """Yield a draft beside ``path`` to write to, which takes that name when the block ends well.

    Readers see the old file or the new one, whole; where ``durable``, also after a power cut, because the
    draft is synced before it takes the name, and the folder after. Nothing is left when the block or the
    disk fails; a killed process leaves ``.TOKEN.NAME``, see :func:`is_draft`. The draft keeps the suffix.

    ``publish(draft, path)`` gives the name: by default it replaces what is there; :func:`publish_new` does
    not.
    """
    draft = path.with_name(f".{token()}.{path.name}")
    try:
        yield draft
        if durable:
            fsync(draft)
        publish(draft, path)
        if durable:
            fsync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def publish_new(draft: Path, path: Path) -> None:
    """Give ``draft`` the name ``path``, or raise ``FileExistsError`` when that is taken.

    A file system without hard links can only be asked before: there two at once may replace each other.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        draft.replace(path)


def is_draft(path: Path) -> bool:
    """Whether a file has the name of a draft of :func:`atomic_write`, or of an earlier version's."""
    return re.fullmatch(r"\.[0-9a-f]{12}\..+|\..+\.[0-9a-f]{12}", path.name) is not None


def remove_stale_drafts(path: Path) -> None:
    """Remove what processes that were killed long ago left beside ``path`` while they wrote it."""
    remove_stale(path.parent, f".*{path.name}*")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as by :func:`atomic_write`; ``ValueError`` for NaN and infinities."""
    with atomic_write(path) as draft, draft.open("x", encoding="ascii") as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file that Lookalike wrote, which may be damaged by now.

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
    raise ValueError(f"it holds {name}, which JSON has no number for")


def _check_plain(value: Any) -> None:
    """Raise ``ValueError`` for values that JSON allows and later steps cannot hold."""
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

    What cannot be removed stays.
    """
    with suppress(OSError):
        for path in folder.glob(pattern):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > STALE_SECONDS:
                    path.unlink()


def new_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Return a new ``.npy`` file, mapped for writing, whose room on the disk is taken at once.

    Raises ``OSError`` when there is not enough: writing to the map would kill the process.
    """
    import numpy as np

    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def says_disk_full(error: BaseException) -> bool:
    """Return whether an error means that a disk or quota is full, whichever library raised it.

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
    """Return a number of bytes for people: "12.3 MB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
