"""The lines of the bars. It imports rich: to be imported when something is drawn."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

WIDEST_BAR = 40
"""Columns of a bar where there is room; a bar gives way to the words beside it, and these to the numbers."""


class BarDisplay(Progress):
    """The bars under way, one line each, which vanish when they end.

    A line with a total shows how much is done, how fast and how long it will take; without one, a spinner and
    the elapsed time. At any width the numbers are whole: the bar is shortened first, then the description.
    """

    def __init__(self, console: Console) -> None:
        number = Column(no_wrap=True)
        super().__init__(
            _Description(table_column=Column()),
            _BarOrSpinner(console),
            _Amount(table_column=number),
            _Rate(table_column=number),
            _Time(table_column=number),
            console=console,
            transient=True,
            redirect_stdout=False,  # standard output holds results, whatever is drawn on standard error
        )


class _Description(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _BarOrSpinner(ProgressColumn):
    """Table columns that may wrap are shortened before those that may not."""

    def __init__(self, console: Console) -> None:
        super().__init__(Column())
        self.bar = BarColumn(min(WIDEST_BAR, max(console.width // 6, 1)))
        self.spinner = SpinnerColumn("line" if console.options.ascii_only else "dots")

    def render(self, task: Task) -> RenderableType:
        return (self.spinner if task.total is None else self.bar).render(task)


class _Amount(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is not None:
            return Text(f"{task.completed:,.0f} of {task.total:,.0f} {task.fields['unit']}")
        return Text(f"{task.completed:,.0f} {task.fields['unit']}" if task.completed else "")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class _Time(ProgressColumn):
    def __init__(self, table_column: Column) -> None:
        super().__init__(table_column)
        self.elapsed = TimeElapsedColumn()
        self.remaining = TimeRemainingColumn(compact=True)

    def render(self, task: Task) -> Text:
        return (self.elapsed if task.total is None else self.remaining).render(task)
