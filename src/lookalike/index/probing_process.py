"""The process behind :mod:`lookalike.index.probing`: read one file within limits, print JSON about it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lookalike.errors import IndexingError
from lookalike.index.description import describe
from lookalike.index.messages import translated

SPARE_BYTES = 512 << 20
"""Address space beyond twice the file: FAISS's own tables, and Python's."""
CUT_SHORT = "it ends before all that it announces"
LEAST_CPU_SECONDS, BYTES_PER_CPU_SECOND = 60, 50_000_000


def limit(file_bytes: int) -> None:
    """Take from this process what reading a sound file of that size does not need."""
    faiss.set_deserialization_vector_byte_limit(max(1, file_bytes))
    faiss.set_deserialization_loop_limit(file_bytes + 1)
    with suppress(ImportError, ValueError, OSError):  # not POSIX, or not to be limited here
        import resource

        seconds = LEAST_CPU_SECONDS + file_bytes // BYTES_PER_CPU_SECOND
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        room = pages * resource.getpagesize() + 2 * file_bytes + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (room, room))


def main(path: Path) -> dict[str, Any]:
    """``about`` the index, or the ``error`` that says why it is none."""
    limit(path.stat().st_size)
    content = np.memmap(path, np.uint8, "r")
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), len(content))
    try:
        with translated("read it"):
            index = faiss.read_index(reader)
    except IndexingError as error:
        reason = str(error.__cause__)
        if isinstance(error.__cause__, MemoryError):
            return {"error": "it names counts that would take more memory than its size explains"}
        return {"error": CUT_SHORT if "read error" in reason else str(error).partition(": ")[2]}
    if reader.rp_ > reader.total_:  # by less than one number, which FAISS does not notice
        return {"error": CUT_SHORT}
    return {"about": describe(index)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
