"""FAISS's messages in plain words: its exceptions, and the warnings that it prints past Python."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from lookalike.errors import IndexingError
from lookalike.terminal.streams import tolerant

FEW_POINTS = re.compile(r"WARNING clustering (\d+) points to (\d+) centroids: please provide at least (\d+)")


def reason_of(error: BaseException) -> str:
    """The part of a FAISS exception that a user can read: no C++ signature, source file or expression."""
    text = re.sub(r"^Error in .*? at [^ ]+:\d+: ", "", " ".join(str(error).split()))
    text = re.sub(r"^Error: '.*?' failed: ", "", text)
    text = re.sub(r"^Error: '(.*?)' failed$", r"it requires \1", text)
    text = re.sub(r"^C\+\+ exception (sto\w+)$", "a number in it is out of range", text)
    return text.strip() or "it gives no reason"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """FAISS's exceptions inside the block become an IndexingError: "FAISS cannot ``doing``: reason"."""
    try:
        yield
    except MemoryError as error:
        raise IndexingError(
            f"memory ran out while FAISS was to {doing}; take a smaller gallery or a compressed family"
        ) from error
    except (RuntimeError, AssertionError) as error:
        raise IndexingError(f"FAISS cannot {doing}: {reason_of(error)}") from error


@contextmanager
def captured_notices() -> Iterator[list[str]]:
    """Collect what C++ code prints to standard error inside the block, as notices in plain words.

    The list is filled when the block ends. Python's own standard error (progress bars) is not touched. Not
    for two threads at once: the process has one standard error.
    """
    notices: list[str] = []
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as file, _python_writes_to(terminal):
        os.dup2(file.fileno(), 2)
        try:
            yield notices
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            file.seek(0)
            notices += summarised(file.read().decode(errors="replace").splitlines())


@contextmanager
def _python_writes_to(descriptor: int) -> Iterator[None]:
    """Point ``sys.stderr`` to ``descriptor`` if it is the process's standard error, which is taken away."""
    before: TextIO = sys.stderr
    try:
        is_real = before.fileno() == 2
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not is_real:
        yield
        return
    with tolerant(descriptor, before) as stream:
        stream.reconfigure(line_buffering=True)
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = before


def summarised(lines: Iterable[str]) -> list[str]:
    """FAISS's printed lines as notices: one on small training sets (the worst), others once each."""
    few: list[tuple[int, int, int]] = []
    others: dict[str, None] = {}
    for line in filter(None, map(str.strip, lines)):
        if match := FEW_POINTS.match(line):
            few.append((int(match[3]), int(match[1]), int(match[2])))
        else:
            others[f"FAISS says: {line}"] = None
    if few:
        advised, points, centroids = max(few)
        others = {
            f"{points:,} training vectors are few for {centroids:,} centroids (FAISS advises {advised:,}): "
            "take fewer centroids, or more images": None,
            **others,
        }
    return list(others)
