"""Programs of the system, asked for a moment: what they answer, or nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence

SECONDS = 10.0

Ask = Callable[[Sequence[str]], str | None]
"""A command line -> its standard output; None when there is no such program, or it fails."""


def ask(command: Sequence[str]) -> str | None:
    """Run ``command`` for ten seconds at most."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
