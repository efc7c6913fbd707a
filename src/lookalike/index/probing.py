"""Files from outside: read in a process of their own first, which may die and may not take much memory.

FAISS believes what a file says of itself. It checks more with every version, but a file made to do harm
may still crash it, or name counts that no memory holds.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lookalike.errors import IndexingError
from lookalike.machine.processes import WALL_TO_CPU, cpu_seconds_for, how_it_ended, run_module


def probe(path: Path) -> dict[str, Any]:
    """Describe an index file, see :func:`~lookalike.index.description.describe`; its bytes are added.

    Raises IndexingError, the process unharmed, for whatever is no sound FAISS index of float vectors.
    """
    if not path.exists():
        raise IndexingError(f"{path} does not exist; name a FAISS index file")
    if not path.is_file():
        raise IndexingError(f"{path} is no file; name a FAISS index file")
    size = path.stat().st_size
    if size == 0:
        raise IndexingError(f"{path} is empty; name a FAISS index file, or build it again")
    told: dict[str, Any]
    try:
        patience = WALL_TO_CPU * cpu_seconds_for(size)
        done = run_module("lookalike.index.probing_process", str(path.absolute()), timeout_seconds=patience)
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        told = {"error": f"reading it does not end within {patience:,} seconds"}
    except ValueError:
        told = {"error": how_it_ended(done)}
    if "error" in told:
        raise IndexingError(
            f"{path} is no FAISS index that can be read ({told['error']}); "
            "name a file that faiss.write_index wrote, or build it again"
        )
    about: dict[str, Any] = told["about"]
    about["file_bytes"] = size
    if about["vectors"]:
        about["bytes_per_vector"] = round(size / about["vectors"], 1)
    return about
