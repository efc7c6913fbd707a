"""What a person sees while work is under way: bars for what takes long, lines for what was decided.

Library functions take a :class:`Progress` and default to :data:`SILENT`; the command line passes a
:class:`RichProgress`. Lines go to standard error, so that standard output holds results only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lookalike.terminal.interrupts import interrupts_later
from lookalike.terminal.printing import wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from lookalike.terminal.bars import BarDisplay

log = logging.getLogger("lookalike")
log.addHandler(logging.NullHandler())  # or Python prints warnings itself where logging is not set up

LONG_SECONDS = 60.0
"""What takes longer than this is said to do so."""
MEASURED_SECONDS = 3.0
"""Work from which an estimate is made."""


class Bar:
    """One bar; the base class draws nothing."""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""

    def total(self, n: int) -> None:
        """Say how many units there are, once it is known."""

    def resume_at(self, n: int) -> None:
        """Say that ``n`` units were done earlier: they count as done, and tell nothing of the speed."""


class Progress:
    """Reports to the ``lookalike`` logger only; :class:`RichProgress` also to the terminal."""

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

    def expect(self, description: str, seconds: float, rate: str = "") -> None:
        """Tell the user how long something will take when that is more than a minute.

        ``description``: that of its bar, where it has one, which then says nothing of its own. ``rate``: what
        the estimate is made of.
        """
        if seconds > LONG_SECONDS:
            self.say(f"{description}: about {rough_duration(seconds)}{rate and f' ({rate})'}")


def rough_duration(seconds: float) -> str:
    """Return ``3 minutes``, ``2.5 hours``, ``4 days``: as exact as an estimate is."""
    if seconds >= 1.5 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    if seconds >= 1.5 * 3_600:
        return f"{seconds / 3_600:.1f} hours"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


SILENT = Progress()


class RichProgress(Progress):
    """Bars and lines on standard error; bars only where the cursor can be moved, until their block ends.

    A bar whose total is known shows how much is done, how fast and how long it will take; while the total
    is unknown there are a spinner and the elapsed time. A bar inside another is a line of its own.
    """

    def __init__(
        self,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quiet = quiet
        self.clock = clock
        self._console = console
        self._display: BarDisplay | None = None
        self._expected: set[str] = set()
        """What is under way and was said to take long."""

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
        try:
            with self._shown_bar(description, total, unit) as bar:
                yield _EstimatedBar(self, bar, description, total, unit)
        finally:
            self._expected.discard(description)

    @contextmanager
    def _shown_bar(self, description: str, total: int | None, unit: str) -> Iterator[Bar]:
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

        display = BarDisplay(self.console)
        try:
            with interrupts_later():  # a display that began half-way would keep the cursor hidden
                display.start()
            self._display = display
            yield display
        finally:
            self._display = None
            with interrupts_later():
                display.stop()

    def expect(self, description: str, seconds: float, rate: str = "") -> None:
        if description not in self._expected and seconds > LONG_SECONDS:
            self._expected.add(description)
            super().expect(description, seconds, rate)

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


class _EstimatedBar(Bar):
    """Says once how long the rest will take, when it is long: as fast as it went since the first step."""

    def __init__(
        self, progress: RichProgress, shown: Bar, description: str, total: int | None, unit: str
    ) -> None:
        self.progress, self.shown, self.description, self.unit = progress, shown, description, unit
        self.left = total
        self.done = 0
        self.measured = 0
        self.began: float | None = None
        """When the first step was done: what came before it does not measure the others."""

    def advance(self, n: int = 1) -> None:
        self.shown.advance(n)
        self.done += n
        if self.left is None:
            return
        self.left -= n
        now = self.progress.clock()
        if self.began is None:
            self.began = now
            return
        self.measured += n
        passed = now - self.began
        if passed < MEASURED_SECONDS or not self.measured:
            return
        seconds, rate = self.left * passed / self.measured, self.measured / passed
        if seconds > LONG_SECONDS:
            self.left = None
            self.progress.expect(
                self.description, seconds, f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s"
            )

    def total(self, n: int) -> None:
        self.shown.total(n)
        self.left = n - self.done

    def resume_at(self, n: int) -> None:
        self.shown.resume_at(n)
        self.done = n
        if self.left is not None:
            self.left -= n


class _DisplayedBar(Bar):
    def __init__(self, display: BarDisplay, task: TaskID) -> None:
        self.display, self.task = display, task

    def advance(self, n: int = 1) -> None:
        self.display.advance(self.task, n)

    def total(self, n: int) -> None:
        self.display.update(self.task, total=n)

    def resume_at(self, n: int) -> None:
        self.display.reset(self.task, completed=n)
