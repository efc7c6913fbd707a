"""The process behind :mod:`lookalike.index.probing`: read one file within limits, print JSON about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lookalike.errors import IndexingError
from lookalike.index.description import describe
from lookalike.index.messages import translated
from lookalike.machine.processes import SPARE_BYTES, bound_this_process, cpu_seconds_for

CUT_SHORT = "it ends before all that it announces"


def limit(file_bytes: int) -> None:
    """Take from this process what reading a sound file of that size does not need."""
    faiss.set_deserialization_vector_byte_limit(max(1, file_bytes))
    faiss.set_deserialization_loop_limit(file_bytes + 1)
    bound_this_process(2 * file_bytes + SPARE_BYTES, cpu_seconds_for(file_bytes))


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
