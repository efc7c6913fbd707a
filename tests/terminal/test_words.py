"""Sentences and plain tables at the width of a terminal."""

from __future__ import annotations

import pytest

from lookalike.terminal import words
from lookalike.terminal.words import wrapped

NOTICE = "300 training vectors are few for 64 centroids (FAISS advises 2,496): take fewer, or more images"


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_a_sentence_is_broken_between_words(width: int) -> None:
    lines = wrapped(NOTICE, width).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(lines) == NOTICE


def test_what_is_piped_is_one_line() -> None:
    assert wrapped(NOTICE * 3, None) == NOTICE * 3


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (
            "port 5000 is taken; choose another one: lookalike mlflow --port 5001",
            "lookalike mlflow --port 5001",
        ),
        (
            "the disk is full (`lookalike store prune --unused-days 30` shows what can go); go on",
            "`lookalike store prune --unused-days 30`",
        ),
        (
            "results: /a/path/that/is/longer/than/the/terminal/is/wide",
            "/a/path/that/is/longer/than/the/terminal/is/wide",
        ),
    ],
)
def test_commands_and_paths_stay_whole(text: str, whole: str) -> None:
    lines = wrapped(text, 40).splitlines()
    assert any(whole in line for line in lines)
    assert " ".join(lines) == text


def test_help_goes_on_below_its_beginning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(words, "width_of", lambda stream: 60)
    words.print_help(
        f"usage: lookalike VERB ...\n\n  run        {'word ' * 12}\n  lookalike run       the default"
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["usage: lookalike VERB ...", ""]
    assert lines[2] == "  run        " + " ".join(["word"] * 9)
    assert lines[3] == "             word word word"
    assert lines[4] == "  lookalike run       the default"


@pytest.mark.parametrize("width", [None, 80, 30])
def test_the_last_column_of_a_table_is_broken(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(words, "width_of", lambda stream: width)
    reason = " ".join(["because"] * 12)
    words.print_table(("key", "why"), [("0123456789abcdef", reason), ("fedcba9876543210", "no")])
    out = capsys.readouterr().out
    assert " ".join(out.split()) == f"key why 0123456789abcdef {reason} fedcba9876543210 no"
    assert width is None or max(map(len, out.splitlines())) <= width
    assert len(out.splitlines()) == {None: 3, 80: 4, 30: 9}[width]
