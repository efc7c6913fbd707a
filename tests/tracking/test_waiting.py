"""Waiting for others, and not for ever."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from lookalike.errors import TrackingError
from lookalike.tracking.backend import tracking_errors
from lookalike.tracking.home import one_at_a_time, patiently


def test_a_locked_database_is_tried_again(tmp_path: Path) -> None:
    """As SQLite says it, through the words of a TrackingError."""
    holder = sqlite3.connect(tmp_path / "db", check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) == 2:
            holder.rollback()
        with tracking_errors("here"), sqlite3.connect(tmp_path / "db", timeout=0) as mine:
            mine.execute("CREATE TABLE t (x)")
        return "written"

    assert patiently(write) == "written"
    assert len(tries) == 2


def test_other_faults_and_endless_locks_are_raised() -> None:
    def fail(reason: str) -> str:
        raise TrackingError(reason)

    with pytest.raises(TrackingError, match="refused"):
        patiently(lambda: fail("refused"))
    with pytest.raises(TrackingError, match="locked"):
        patiently(lambda: fail("database is locked"), seconds=0)


def test_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    inside, waiting = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait(10)
        waiting.set()
        with one_at_a_time(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with one_at_a_time(tmp_path):
        inside.set()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_nobody_waits_for_ever_or_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path), one_at_a_time(tmp_path, seconds=0.1):
        pass
    with one_at_a_time(tmp_path / "not made yet"):
        assert list(tmp_path.iterdir()) == []
