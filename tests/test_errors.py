"""At the boundary of a foreign parser everything is caught and named, and nothing else is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lookalike.errors import (
    LONGEST_REASON,
    DatasetError,
    ImageError,
    TrackingError,
    UserError,
    foreign_parser,
)


class PanicException(BaseException):
    """What a parser in Rust raises through pyo3 when it gives up."""


def said(error: BaseException, kind: type[UserError] = DatasetError) -> str:
    with pytest.raises(kind) as raised, foreign_parser("a.npy is not a .npy array", "write it again", kind):
        raise error
    assert raised.value.__cause__ is error
    return str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        struct.error("odd"),
        RecursionError("odd"),
        KeyError("odd"),
        SystemError("odd"),
        PanicException("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_parser_raises_is_one_sentence_with_file_reason_and_cure(error: BaseException) -> None:
    assert said(error).startswith("a.npy is not a .npy array (")
    assert "odd" in said(error)
    assert said(error).endswith("); write it again")
    assert said(error, TrackingError)


def test_an_error_without_words_gives_its_name() -> None:
    assert "(EOFError)" in said(EOFError())
    assert "(AssertionError)" in said(AssertionError())


def test_memory_is_not_said_to_be_damage() -> None:
    assert "takes more memory than there is" in said(MemoryError("std::bad_alloc"))


def test_what_the_operating_system_refuses_has_another_cure(tmp_path: Path) -> None:
    text = said(PermissionError(13, "Permission denied", str(tmp_path)))
    assert "(Permission denied); see that" in text
    assert "write it again" not in text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_fault_of_a_file_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), foreign_parser("a", "b"):
        raise error


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(ImageError, match=r"^as it is$"), foreign_parser("a", "b", TrackingError):
        raise ImageError("as it is")


def test_a_file_does_not_write_to_the_terminal() -> None:
    text = said(ValueError("\x1b[2J\x07\u202egone " + "x" * 10_000))
    assert text.isprintable()
    assert str(DatasetError("a\x1b]0;b\x07\u202ec 👩‍👩‍👧 é\nd")) == "a\\x1b]0;b\\x07\\u202ec 👩‍👩‍👧 é\nd"
    assert str(UserError("\udcff.jpg")) == "\\udcff.jpg"
    assert len(text) < LONGEST_REASON + 80
    assert "second line" not in said(ValueError("first\nsecond line"))
