"""Sentences, tables and lists in lines that fit the terminal; what is piped is never wrapped or cut."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

GAP = 2
"""Blanks between the columns of a table."""
NARROWEST = 40
"""Columns; a narrower terminal breaks our lines itself."""
UNBROKEN = 10_000
"""Columns of lines that go to a file or a program."""

_COMMAND = re.compile(
    r"`[^`\n]*`"
    r"|(?<!\S)'[^'\n]*(?:'\"'\"'[^'\n]*)*'(?=[\s;,.]|$)"
    r"|\b(?:lookalike|python|pip) (?:(?!  )[^;)\n])*"
)
"""What a user may copy: only the terminal breaks it, which joins it again when it is copied."""


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


def console() -> Console:
    """Return a console of rich's on standard output; what is piped has lines of any length."""
    from rich.console import Console

    return Console(width=width_of(sys.stdout) or UNBROKEN, highlight=False)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output, its lines broken between words where the terminal is narrow.

    Where not even the longest words have room beside each other, each row is a list of its own.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    rows, out = [*rows], console()
    least = [
        max(cell_len(word) for cell in column for word in cell.split() or [""])
        for column in zip(heads, *rows, strict=True)
    ]
    if sum(least) + GAP * (len(least) - 1) <= out.width:
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
        for head, width in zip(heads, least, strict=True):
            table.add_column(head, min_width=width)
        for row in rows:
            table.add_row(*map(Text, row))
        _print_lines(out, table)
        return
    for row in rows:
        print_terms(zip(heads, row, strict=True), indent=0)
        print()


def print_terms(terms: Iterable[tuple[str, str]], indent: int = 2) -> None:
    """Print names, and beside each what it means."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, meaning in terms:
        table.add_row(Text(name), Text(meaning))
    _print_lines(console(), Padding(table, (0, 0, 0, indent)))


def _print_lines(out: Console, renderable: RenderableType) -> None:
    """Print without the blanks that rich fills lines up with."""
    with out.capture() as captured:
        out.print(renderable)
    for line in captured.get().splitlines():
        print(line.rstrip())
