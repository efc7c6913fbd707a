"""``lookalike -sc query=bash``: verbs by ourselves, overrides by Hydra, which knows of no verbs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lookalike.cli import VERBS

COMPOSING = ("run", "fetch")
"""Verbs that take overrides."""


def main(arguments: Sequence[str]) -> int:
    """Answer a shell's question; ``install=`` and ``uninstall=`` go to Hydra as they are."""
    line = os.environ.get("COMP_LINE", "")
    if any(argument.startswith("query=") for argument in arguments):
        command, _, rest = line.lstrip().partition(" ")
        verb, blank, overrides = rest.lstrip().partition(" ")
        if not blank:
            print(" ".join(name for name in VERBS if name.startswith(verb)))
            return 0
        if verb not in COMPOSING:
            return 0
        os.environ["COMP_LINE"] = f"{command} {overrides.lstrip()}"
    from lookalike.cli.run import main as run

    return run(arguments)
