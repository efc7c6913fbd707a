"""Files that are read by C and C++ code which believes them: first in a process of their own.

FAISS and HDF5 follow what a file says of itself: lengths, offsets, trees. Damaged ones crash the process,
never end, or take gigabytes. So a child opens and reads such a file first, within bounds of memory and time;
what it survives, this process does.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from lookalike.datasets.fingerprints import file_fingerprint
from lookalike.datasets.formats.contents import size_of
from lookalike.errors import DatasetError
from lookalike.machine.processes import WALL_TO_CPU, cpu_seconds_for, how_it_ended, run_module

CHILD = "lookalike.datasets.formats.bounded_process"
NAMES = {"faiss": "FAISS index", "hdf5": "HDF5 file"}
"""The formats that need it."""

_sound: set[tuple[Path, str, str, str | None]] = set()


def read_in_child_first(
    files: Sequence[Path],
    format_: str,
    array: str | None = None,
    run: Callable[..., subprocess.CompletedProcess[str]] = run_module,
) -> None:
    """Read files of one format in one bounded child; each once a process, until it changes.

    ``array``: what will be read of a file of several (hdf5), beside what lies at its top. Raises
    DatasetError for the first file that cannot be read, crashes the child, or takes more time or memory
    than its size explains. ``run``: see :func:`~lookalike.machine.processes.run_module`.
    """
    waiting = {}
    for file in files:
        size = size_of(file)
        known = (file.resolve(), file_fingerprint(file), format_, array)
        if known not in _sound:
            waiting[file] = size, known
    if not waiting:
        return
    total = sum(size for size, _ in waiting.values())
    largest = max(size for size, _ in waiting.values())
    task = {
        "files": [str(file.absolute()) for file in waiting],
        "format": format_,
        "array": array,
        "bytes": largest,
        "cpu_seconds": cpu_seconds_for(total),
    }
    patience = WALL_TO_CPU * cpu_seconds_for(total)
    try:
        done = run(CHILD, input_text=json.dumps(task), timeout_seconds=patience)
    except subprocess.TimeoutExpired as error:
        reason = f"reading it does not end within {patience:,} seconds"
        printed = (error.stdout or b"").decode() if isinstance(error.stdout, bytes) else (error.stdout or "")
    else:
        reason, printed = how_it_ended(done), done.stdout
    answers = [json.loads(line) for line in printed.splitlines() if line.endswith("}")]
    faults = [answer["fault"] for answer in answers] + [reason] * (len(waiting) - len(answers))
    _sound.update(known for (_, known), fault in zip(waiting.values(), faults, strict=True) if fault is None)
    for file, fault in zip(waiting, faults, strict=True):
        if fault is not None:
            raise DatasetError(
                f"{file} is not a readable {NAMES[format_]} ({fault}); copy it again, or write it again"
            )
