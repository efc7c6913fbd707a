"""What a person sees while work is under way: bars for what takes long, lines for what was decided.

Library functions take a :class:`Progress` and default to :data:`SILENT`; the command line passes a
:class:`RichProgress`. Lines go to standard error, so that standard output holds results only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lookalike.terminal.words import wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from lookalike.terminal.bars import BarDisplay

log = logging.getLogger("lookalike")
log.addHandler(logging.NullHandler())  # or Python prints warnings itself where nobody has set up logging


class Bar:
    """One bar; the base class draws nothing."""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""

    def total(self, n: int) -> None:
        """Say how many units there are, once it is known."""

    def resume_at(self, n: int) -> None:
        """Say that ``n`` units were done earlier: they count as done, and tell nothing of the speed."""


class Progress:
    """Reports to nobody, apart from the ``lookalike`` logger; see :class:`RichProgress`."""

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        """Show a bar while the block runs; ``total=None`` when the amount is not known yet."""
        yield Bar()

    def say(self, line: str) -> None:
        """Tell the user what happened, in one line."""
        log.info(line)

    def warn(self, line: str) -> None:
        """Tell the user what they should look at, in one line."""
        log.warning(line)


SILENT = Progress()


class RichProgress(Progress):
    """Bars and lines on standard error; bars only where the cursor can be moved, until their block ends.

    A bar whose total is known shows how much is done, how fast and how long it will take; while the total
    is unknown there are a spinner and the elapsed time. A bar inside another is a line of its own.
    """

    def __init__(self, quiet: bool = False, console: Console | None = None) -> None:
        self.quiet = quiet
        self._console = console
        self._display: BarDisplay | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A cluster's job opens a console of its own."""
        return self.__dict__ | {"_console": None, "_display": None}

    @property
    def console(self) -> Console:
        """Rich is imported when the first line is shown."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        return self._console

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        if self.quiet or not self.console.is_terminal or self.console.is_dumb_terminal:
            yield Bar()
            return
        with self._opened() as display:
            task = display.add_task(description, total=total, unit=unit)
            try:
                yield _DisplayedBar(display, task)
            finally:
                display.remove_task(task)

    @contextmanager
    def _opened(self) -> Iterator[BarDisplay]:
        """The display of the bar outside this one, or a new one."""
        if self._display is not None:
            yield self._display
            return
        from lookalike.terminal.bars import BarDisplay

        with BarDisplay(self.console) as display:
            self._display = display
            try:
                yield display
            finally:
                self._display = None

    def say(self, line: str) -> None:
        super().say(line)
        if not self.quiet:
            self._print(line)

    def warn(self, line: str) -> None:
        super().warn(line)
        self._print(f"warning: {line}", "yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        """Above the bars; a sentence that is longer than the terminal is wide is broken between words."""
        width = self.console.width if self.console.is_terminal else None
        self.console.print(wrapped(text, width), markup=False, soft_wrap=True, style=style)


class _DisplayedBar(Bar):
    def __init__(self, display: BarDisplay, task: TaskID) -> None:
        self.display, self.task = display, task

    def advance(self, n: int = 1) -> None:
        self.display.advance(self.task, n)

    def total(self, n: int) -> None:
        self.display.update(self.task, total=n)

    def resume_at(self, n: int) -> None:
        self.display.reset(self.task, completed=n)
