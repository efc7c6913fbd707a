"""Index files: read, and written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lookalike.errors import IndexingError, foreign_parser
from lookalike.index.messages import reason_of, translated
from lookalike.store.files import fsync

WRITE_BYTES = 16 << 20
"""FAISS hands over this much at a time."""
OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT)


def read_index(path: Path, mmap: bool = False) -> Any:
    """Read an index file that our store, or a probe in a process of its own, has found sound.

    ``mmap``: leave codes and vectors in the file, to be paged in when a search needs them (by FAISS's newer
    flag; IO_FLAG_MMAP maps inverted lists only). Raises IndexingError when the file is not a FAISS index.
    """
    import faiss

    broken = foreign_parser(f"{path} is not a readable FAISS index", "build it again", IndexingError)
    with broken, translated(f"read {path.name}"):
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mmap else 0)


def write_index(index: Any, path: Path) -> None:
    """Write an index: every byte of it, or an error. A full disk is an OSError, as it is for any other file.

    Through a Python file: FAISS's own writer only prints, and goes on, when its last few kilobytes cannot
    be written. Other errors (a file size limit, a missing folder) are an IndexingError.
    """
    import faiss

    try:
        with path.open("wb", buffering=1 << 20) as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, WRITE_BYTES))
    except OSError as error:
        if error.errno in OUT_OF_ROOM:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise IndexingError(
            f"{path.name} cannot be written ({error.strerror}); see that its folder is there, that you may "
            "write to it and that files of the index's size are allowed"
        ) from error
    except RuntimeError as error:
        raise IndexingError(f"FAISS cannot write {path.name}: {reason_of(error)}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write ``path``, which takes its name when the block ends well and goes when it does not.

    The place has one name, so a killed writer leaves at most one file, which the next one writes over.
    IndexingError when another process is writing the same.
    """
    partial = path.with_name(f".{path.name}.partial")
    descriptor = _lock(partial, path)
    try:
        yield partial
        fsync(partial)
        partial.replace(path)
        fsync(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    finally:
        os.close(descriptor)


def _lock(partial: Path, path: Path) -> int:
    """An open descriptor of ``partial`` that no other process holds; closing it lets go."""
    import fcntl  # POSIX only

    while True:
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise IndexingError(
                f"{path} cannot be written ({error.strerror}); name a file in a folder that you may write"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise IndexingError(
                f"another process is writing {path}; wait for it, or name another file"
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), partial.stat()):
                return descriptor
        os.close(descriptor)  # its last writer renamed it between our two calls
