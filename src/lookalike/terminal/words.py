"""Sentences and plain tables, in lines that fit the terminal; what is piped is never wrapped or cut."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TextIO

INDENT = 4
NARROWEST = 40
"""Columns; a narrower terminal breaks our lines itself."""

_COMMAND = re.compile(
    r"`[^`\n]*`"
    r"|(?<!\S)'[^'\n]*(?:'\"'\"'[^'\n]*)*'(?=[\s;,.]|$)"
    r"|\b(?:lookalike|python|pip) (?:(?!  )[^;)\n])*"
)
"""What somebody may copy: it is broken by the terminal only, which joins it again when it is copied."""


def width_of(stream: TextIO) -> int | None:
    """Return the columns of the terminal that ``stream`` writes to; None when it writes to none."""
    try:
        if stream.isatty():
            return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns or 80)
    except (OSError, ValueError, AttributeError):
        pass
    return None


def wrapped(text: str, width: int | None, indent: str = "") -> str:
    """Return ``text`` with its lines broken at blanks to ``width`` columns; ``None`` leaves it as it is.

    A word that is longer (a path) and a command stay whole, on a line of their own where need be. Lines
    after the first begin with ``indent``.
    """
    if width is None:
        return text
    kept = _COMMAND.sub(lambda match: match[0].replace(" ", "\0"), text)
    lines = [
        part
        for line in kept.splitlines()
        for part in wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        or [""]
    ]
    return "\n".join(lines).replace("\0", " ")


def print_wrapped(text: str, stream: TextIO | None = None, indent: str = "") -> None:
    """Print a sentence on ``stream``, by default standard output, at once."""
    stream = stream or sys.stdout
    print(wrapped(text, width_of(stream), indent), file=stream, flush=True)


def print_help(text: str) -> None:
    """Print lines of a name and what it means: on a terminal, what it means goes on below its beginning."""
    width = width_of(sys.stdout)
    for line in text.splitlines():
        columns = re.match(r" +\S+( \S+)*  +", line)
        print(wrapped(line, width, " " * (columns.end() if columns else 0)))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table on standard output, two blanks between its columns.

    On a terminal that is narrower, the last column is broken at blanks and goes on below itself; where little
    is left for it, below the others.
    """
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    width = width_of(sys.stdout)
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    beside = width is None or width - before >= min(NARROWEST // 2, widths[-1])
    indent = before if beside else INDENT
    for *cells, last in lines:
        first = "  ".join(cell.ljust(room) for cell, room in zip(cells, widths, strict=False))
        parts = wrapped(last, width and width - indent).splitlines() or [""]
        if beside:
            print(f"{first}  {parts.pop(0)}".strip() if cells else parts.pop(0))
        else:
            print(wrapped(first.rstrip(), width, " " * INDENT))
        for part in parts:
            print(" " * indent + part)
