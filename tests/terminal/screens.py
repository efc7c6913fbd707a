"""What stands on a screen: a terminal emulator reads what was written."""

from __future__ import annotations

import io

import pyte
from rich.console import Console

WIDTHS = (80, 100, 140)
MODES = {
    "dark": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "NO_COLOR": {"TERM": "xterm", "NO_COLOR": "1"},
    "dumb": {"TERM": "dumb"},
}


def screen_of(written: str, width: int, height: int = 60) -> list[str]:
    """The lines of a screen of ``width`` columns, without blank ones at its end."""
    screen = pyte.HistoryScreen(width, height, history=10_000)
    pyte.Stream(screen).feed(written)
    scrolled = ["".join(row[column].data for column in range(width)) for row in screen.history.top]
    return "\n".join(line.rstrip() for line in [*scrolled, *screen.display]).rstrip().splitlines()


class Drawn:
    """A console of a terminal of ``width`` columns in one of the modes, and its screen."""

    def __init__(self, width: int, mode: str) -> None:
        self.file = io.StringIO()
        self.width = width
        self.console = Console(
            file=self.file,
            width=width,
            height=24,
            force_terminal=True,
            highlight=False,
            _environ=MODES[mode],
        )

    @property
    def written(self) -> str:
        return self.file.getvalue()

    def screen(self) -> list[str]:
        return screen_of(self.written.replace("\n", "\r\n"), self.width)
