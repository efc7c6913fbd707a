"""``lookalike version``."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike import __version__


def main(arguments: Sequence[str]) -> int:
    """Print the version."""
    print(f"lookalike {__version__}")
    return 0
