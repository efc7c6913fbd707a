"""What bars draw, at every width and in every mode: records of the screen, read by a terminal emulator."""

from __future__ import annotations

import io
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from lookalike.progress import Bar, RichProgress, rough_duration
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


@pytest.mark.parametrize("shown", [False, True], ids=["as it begins", "as it ends"])
def test_ctrl_c_leaves_no_half_display(monkeypatch: pytest.MonkeyPatch, shown: bool) -> None:
    show_cursor = Console.show_cursor

    def interrupted(console: Console, show: bool = True) -> bool:
        done = show_cursor(console, show)
        if show is shown:
            signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(Console, "show_cursor", interrupted)
    drawn, threads = Drawn(80, "dark"), set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt), RichProgress(console=drawn.console).bar("embedding", 3):
        pass
    for drawing in set(threading.enumerate()) - threads:
        drawing.join(10)
        assert not drawing.is_alive()
    assert drawn.written.endswith("\x1b[?25h") or drawn.written.endswith("\x1b[?25h\r")
    assert drawn.screen() == []


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


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def said(steps: Callable[[Bar, Clock], Any], total: int | None, *, quiet: bool = False) -> list[str]:
    """What stays on a standard error that is not a terminal."""
    shown, clock = io.StringIO(), Clock()
    progress = RichProgress(quiet, Console(file=shown, width=80), clock)
    with progress.bar("embeddings", total, "images") as bar:
        steps(bar, clock)
    return shown.getvalue().splitlines()


def steady(rate: float, seconds: int, first: float = 0.0, resumed: int = 0) -> Callable[[Bar, Clock], None]:
    """``rate`` images a second, after ``first`` seconds in which a model is loaded."""

    def steps(bar: Bar, clock: Clock) -> None:
        if resumed:
            bar.resume_at(resumed)
        clock.now += first
        for _ in range(seconds):
            clock.now += 1
            bar.advance(int(rate))

    return steps


def test_what_takes_long_is_said_once_with_how_fast_it_goes() -> None:
    assert said(steady(80, 20), 100_000) == ["embeddings: about 21 minutes (80 images/s)"]


def test_what_comes_before_the_first_step_is_no_measure_of_the_others() -> None:
    assert said(steady(80, 20, first=600), 100_000) == ["embeddings: about 21 minutes (80 images/s)"]


def test_what_was_done_earlier_is_neither_left_nor_speed() -> None:
    assert said(steady(80, 20, resumed=90_400), 100_000) == ["embeddings: about 2 minutes (80 images/s)"]


@pytest.mark.parametrize("total", [2_000, 4_800, None])
def test_nothing_is_said_of_a_minute_or_an_unknown_amount(total: int | None) -> None:
    assert said(steady(80, 20), total) == []


def test_a_stage_is_said_to_take_long_once_and_the_next_one_again() -> None:
    shown, clock = io.StringIO(), Clock()
    progress = RichProgress(False, Console(file=shown, width=80), clock)
    for _ in range(2):
        progress.expect("timing searches", 300, "30 points × 10 s")
        with progress.bar("timing searches", 100_000, "turns") as bar:
            steady(80, 20)(bar, clock)
    assert shown.getvalue().splitlines() == 2 * ["timing searches: about 5 minutes (30 points × 10 s)"]


def test_quiet_is_quiet() -> None:
    assert said(steady(80, 20), 100_000, quiet=True) == []


def test_an_estimate_stays_above_the_bar() -> None:
    drawn, clock = Drawn(80, "dark"), Clock()
    with RichProgress(console=drawn.console, clock=clock).bar("embeddings", 100_000, "images") as bar:
        steady(80, 20)(bar, clock)
    assert drawn.screen() == ["embeddings: about 21 minutes (80 images/s)"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (61, "1 minute"),
        (95, "2 minutes"),
        (3_000, "50 minutes"),
        (5_300, "88 minutes"),
        (5_400, "1.5 hours"),
        (36_000, "10.0 hours"),
        (300_000, "3 days"),
    ],
)
def test_durations_are_as_rough_as_an_estimate(seconds: float, words: str) -> None:
    assert rough_duration(seconds) == words
