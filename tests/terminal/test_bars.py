"""What bars draw, at every width and in every mode: records of the screen, read by a terminal emulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lookalike.progress import Bar, RichProgress
from tests.terminal.screens import WIDTHS, Drawn

MODES = ("dark", "NO_COLOR")


def shown(drawn: Drawn, total: int | None, work: Callable[[Bar], Any], description: str = "embedding") -> str:
    """The line of a bar after some work, while it is still under way."""
    progress = RichProgress(console=drawn.console)
    with progress.bar(description, total, "images") as bar:
        work(bar)
        assert progress._display is not None
        progress._display.refresh()
        (line,) = drawn.screen()
    assert drawn.screen() == []
    return line


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_total_gets_a_spinner_and_the_elapsed_time(width: int, mode: str) -> None:
    line = shown(Drawn(width, mode), None, lambda bar: time.sleep(0.01), "memory to serve the index")
    assert line.startswith("memory to serve the index ")
    assert line.endswith("0:00:00")
    assert set(line) & set("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


@pytest.mark.parametrize("width", (40, *WIDTHS))
@pytest.mark.parametrize("mode", MODES)
def test_a_known_total_is_shown_whole_at_any_width(width: int, mode: str) -> None:
    def work(bar: Bar) -> None:
        bar.resume_at(1_000_000)
        bar.advance(234_567)

    line = shown(Drawn(width, mode), 12_345_678, work, "embedding a data set with a name that is long")
    assert "1,234,567 of 12,345,678 images" in line
    assert width < min(WIDTHS) or line.startswith("embedding")


def test_a_total_that_becomes_known_replaces_the_spinner() -> None:
    def work(bar: Bar) -> None:
        bar.advance(3)
        bar.total(10)

    assert "3 of 10 images" in shown(Drawn(80, "dark"), None, work)


def test_a_bar_inside_another_is_a_line_of_its_own() -> None:
    drawn = Drawn(80, "dark")
    progress = RichProgress(console=drawn.console)
    with progress.bar("indexing", 10, "vectors"), progress.bar("writing", None):
        assert progress._display is not None
        progress._display.refresh()
        first, second = drawn.screen()
        assert first.startswith("indexing")
        assert second.startswith("writing")
    with progress.bar("again", 5, "turns"):
        assert len(drawn.screen()) == 1
    assert drawn.screen() == []


def test_a_dumb_terminal_gets_lines_and_no_bars() -> None:
    drawn = Drawn(80, "dumb")
    progress = RichProgress(console=drawn.console)
    with progress.bar("training", None) as bar:
        bar.advance()
        progress.say("index: built 0.2 s")
    assert drawn.written == "index: built 0.2 s\n"
