"""Sentences and plain tables at the width of a terminal."""

from __future__ import annotations

import pytest

from lookalike.terminal import printing
from lookalike.terminal.printing import wrapped

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


def test_what_a_name_means_goes_on_below_its_beginning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printing, "width_of", lambda stream: 60)
    printing.print_terms([("run", "word " * 12), ("fetch [x]", "the default")])
    assert capsys.readouterr().out.splitlines() == [
        "  run        " + " ".join(["word"] * 9),
        "             word word word",
        "  fetch [x]  the default",
    ]


REASON = " ".join(["because"] * 12)
ROWS = [("0123456789abcdef", "[3]", REASON), ("fedcba9876543210", "1", "no")]


@pytest.mark.parametrize("width", [None, 80, 40])
def test_columns_of_a_table_are_broken_between_words(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printing, "width_of", lambda stream: width)
    printing.print_table(("key", "n", "why"), ROWS)
    out = capsys.readouterr().out
    assert [word for row in ROWS for cell in row for word in cell.split()] == out.split()[3:]
    assert width is None or max(map(len, out.splitlines())) <= width
    assert len(out.splitlines()) == {None: 3, 80: 4, 40: 8}[width]
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def test_a_table_without_room_for_its_words_is_a_list_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printing, "width_of", lambda stream: 22)
    printing.print_table(("key", "n", "why"), ROWS[1:])
    assert capsys.readouterr().out.splitlines() == ["key  fedcba9876543210", "n    1", "why  no", ""]
