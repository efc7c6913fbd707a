from __future__ import annotations

import os
import sys

import pytest

from lookalike.errors import IndexingError
from lookalike.index.messages import captured_notices, reason_of, summarised, translated


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Error in std::unique_ptr<faiss::Index> faiss::f(int) at /project/faiss/index_factory.cpp:1228: "
            "could not parse index string Foo",
            "could not parse index string Foo",
        ),
        (
            "Error in void faiss::Clustering::train() at /p/C.cpp:66: Error: 'nx >= k' failed: Too few",
            "Too few",
        ),
        ("Error in f at /p/x.cpp:1: Error: 'metric == METRIC_L2' failed", "it requires metric == METRIC_L2"),
        ("C++ exception stoi", "a number in it is out of range"),
        ("", "it gives no reason"),
        ("plain words", "plain words"),
    ],
)
def test_reason_is_what_a_user_can_read(said: str, reason: str) -> None:
    assert reason_of(RuntimeError(said)) == reason


@pytest.mark.parametrize("error", [RuntimeError("bad file"), AssertionError("bad file")])
def test_exceptions_are_translated(error: Exception) -> None:
    with pytest.raises(IndexingError, match="FAISS cannot read x: bad file"), translated("read x"):
        raise error


def test_running_out_of_memory_has_a_cure() -> None:
    with pytest.raises(IndexingError, match="memory ran out while FAISS was to add; take"), translated("add"):
        raise MemoryError


def test_many_warnings_become_one_notice() -> None:
    lines = [
        "WARNING clustering 100 points to 8 centroids: please provide at least 312 training points",
        *["WARNING clustering 100 points to 16 centroids: please provide at least 624 training points"] * 3,
        "something else",
        "",
        "something else",
    ]
    assert summarised(lines) == [
        "100 training vectors are few for 16 centroids (FAISS advises 624): "
        "take fewer centroids, or more images",
        "FAISS says: something else",
    ]


def test_only_c_code_is_captured(capfd: pytest.CaptureFixture[str]) -> None:
    with open(2, "w", closefd=False) as real:
        before, sys.stderr = sys.stderr, real
        try:
            with captured_notices() as notices:
                os.write(2, b"from C\n")
                print("from Python", file=sys.stderr)
        finally:
            assert sys.stderr is real
            sys.stderr = before
    os.write(2, b"afterwards\n")
    assert notices == ["FAISS says: from C"]
    assert capfd.readouterr().err == "from Python\nafterwards\n"


def test_standard_error_comes_back_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="in vain"), captured_notices():
        raise ValueError("in vain")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
