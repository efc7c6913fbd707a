"""An unexpected error: one line for the user, and the traceback in a file."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

from lookalike.machine.credentials import conceal_all

LONGEST_REASON = 300
"""Characters; some libraries' messages hold whole files."""


def reason_of(error: BaseException) -> str:
    """Return an error's type and the first line of what it says, without passwords."""
    line = next(iter(str(error).strip().splitlines()), "")
    if len(line) > LONGEST_REASON:
        line = f"{line[:LONGEST_REASON]}…"
    return conceal_all(f"{type(error).__name__}: {line}" if line else type(error).__name__)


def keep_traceback(error: BaseException, file: Path | None = None) -> Path | None:
    """Write an error's traceback to ``file``, else to a temporary file, and return its path.

    None when neither can be written.
    """
    text = conceal_all("".join(traceback.format_exception(error)))
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            pass
        else:
            return file
    try:
        descriptor, name = tempfile.mkstemp(prefix="lookalike-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as temporary:
            temporary.write(text)
    except OSError:
        return None
    return Path(name)


def describe(error: BaseException, kept: Path | None) -> str:
    """Return the one line that the user reads."""
    where = f"its traceback is in {kept}" if kept else "its traceback could not be kept, for lack of room"
    return f"{reason_of(error)}; Lookalike did not expect that: {where}"
