"""Sentences and plain tables at the width of a terminal."""

from __future__ import annotations

import pytest

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
