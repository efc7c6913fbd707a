"""Files from outside: read in a process of their own first, which may die and may not take much memory.

FAISS believes what a file says of itself. It checks more with every version, but a file made to do harm
may still crash it, or name counts that no memory holds.
"""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from lookalike.errors import IndexingError
from lookalike.processes import run_module


def probe(path: Path) -> dict[str, Any]:
    """Describe an index file, see :func:`~lookalike.index.description.describe`; its bytes are added.

    Raises IndexingError, the process unharmed, for whatever is no sound FAISS index of float vectors.
    """
    if not path.exists():
        raise IndexingError(f"{path} does not exist; name a FAISS index file")
    if not path.is_file():
        raise IndexingError(f"{path} is no file; name a FAISS index file")
    if path.stat().st_size == 0:
        raise IndexingError(f"{path} is empty; name a FAISS index file, or build it again")
    done = run_module("lookalike.index.probing_process", str(path.absolute()))
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = {"error": _cause_of_death(done)}
    if "error" in told:
        raise IndexingError(
            f"{path} is no FAISS index that can be read ({told['error']}); "
            "name a file that faiss.write_index wrote, or build it again"
        )
    about: dict[str, Any] = told["about"]
    size = path.stat().st_size
    about["file_bytes"] = size
    if about["vectors"]:
        about["bytes_per_vector"] = round(size / about["vectors"], 1)
    return about


def _cause_of_death(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"reading it ended in {signal.Signals(-done.returncode).name}"
    return (done.stderr.strip().splitlines() or [f"reading it ended with {done.returncode}"])[-1]
