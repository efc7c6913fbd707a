"""Files from outside: read in a child process first, which may die and may not take much memory.

:func:`probe` starts the child, which is this module run as a program.

FAISS believes what a file says of itself. It checks more with every version, but a file made to do harm
may still crash it, or name counts that no memory holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import IndexingError
from lookalike.index.description import describe
from lookalike.index.messages import translated
from lookalike.machine.processes import (
    SPARE_BYTES,
    WALL_TO_CPU,
    bound_this_process,
    cpu_seconds_for,
    how_it_ended,
    run_module,
)

CUT_SHORT = "it ends before all that it announces"


def probe(path: Path) -> dict[str, Any]:
    """Return an index file's description (:func:`~lookalike.index.description.describe`) and its size.

    Raises IndexingError, this process unharmed, unless the file is a sound FAISS index of float vectors.
    """
    if not path.exists():
        raise IndexingError(f"{path} does not exist; name a FAISS index file")
    if not path.is_file():
        raise IndexingError(f"{path} is not a file; name a FAISS index file")
    size = path.stat().st_size
    if size == 0:
        raise IndexingError(f"{path} is empty; name a FAISS index file, or build it again")
    answer: dict[str, Any]
    try:
        patience = WALL_TO_CPU * cpu_seconds_for(size)
        done = run_module("lookalike.index.probing", str(path.absolute()), timeout_seconds=patience)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        answer = {"error": f"reading it does not end within {patience:,} seconds"}
    except ValueError:
        answer = {"error": how_it_ended(done)}
    if "error" in answer:
        raise IndexingError(
            f"{path} is not a FAISS index that can be read ({answer['error']}); "
            "name a file that faiss.write_index wrote, or build it again"
        )
    about: dict[str, Any] = answer["about"]
    about["file_bytes"] = size
    if about["vectors"]:
        about["bytes_per_vector"] = round(size / about["vectors"], 1)
    return about


def _limit(file_bytes: int) -> None:
    """Take from the child what reading a sound file of that size does not need."""
    import faiss

    faiss.set_deserialization_vector_byte_limit(max(1, file_bytes))
    faiss.set_deserialization_loop_limit(file_bytes + 1)
    bound_this_process(2 * file_bytes + SPARE_BYTES, cpu_seconds_for(file_bytes))


def examine_here(path: Path) -> dict[str, Any]:
    """Return what is known ``about`` the index, or the ``error`` that says why it is none; in the child."""
    import faiss

    _limit(path.stat().st_size)
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
    print(json.dumps(examine_here(Path(sys.argv[1]))))
