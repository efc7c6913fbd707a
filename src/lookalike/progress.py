"""What a person sees while work is under way: bars for what takes long, lines for what was decided.

Library functions take a :class:`Progress` and default to :data:`SILENT`; the command line passes a
:class:`RichProgress`. Lines go to standard error, so that standard output holds results only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

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
    """Bars and lines on standard error; bars only on a terminal and only once they last a second."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._console: Console | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A cluster's job opens a console of its own."""
        return self.__dict__ | {"_console": None}

    @property
    def console(self) -> Console:
        """Rich is imported when the first line is shown."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        return self._console

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        if self.quiet or not self.console.is_terminal:
            yield Bar()
            return
        from rich import progress

        columns = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(compact=True),
        ]
        with progress.Progress(*columns, console=self.console, transient=True) as display:
            yield _RichBar(display, display.add_task(description, total=total, rate=""))

    def say(self, line: str) -> None:
        super().say(line)
        if not self.quiet:
            self.console.print(line, markup=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        super().warn(line)
        self.console.print(f"warning: {line}", markup=False, soft_wrap=True, style="yellow")


class _RichBar(Bar):
    def __init__(self, display: Any, task: Any) -> None:
        self.display, self.task = display, task

    def advance(self, n: int = 1) -> None:
        self.display.advance(self.task, n)
        speed = self.display.tasks[0].speed
        self.display.update(self.task, rate=f"{speed:,.0f}/s" if speed else "")

    def total(self, n: int) -> None:
        self.display.update(self.task, total=n)

    def resume_at(self, n: int) -> None:
        self.display.reset(self.task, completed=n, rate="")
