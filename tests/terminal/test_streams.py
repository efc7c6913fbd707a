"""Whatever standard output and standard error are, a verb writes to them without raising."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HARD = "é 李 😀 \udce9 ✓ ─"
"""Latin-1, CJK, an emoji, a byte of a file name that is not an UTF-8, a mark, a box."""
PROGRAM = f"""
import sys
from lookalike.terminal import streams
streams.prepare()
print({HARD!a})
print({HARD!a}, file=sys.stderr)
from rich.console import Console
Console().print({HARD!a}, markup=False)
failure = streams.failure_of_output()
print("failure:", failure and failure.strerror, file=sys.stderr)
"""


def run(
    program: str, environment: dict[str, str] | None = None, **places: object
) -> subprocess.CompletedProcess[bytes]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    wanted = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | places
    return subprocess.run(
        [sys.executable, "-c", program], env=kept | (environment or {}), check=False, **wanted
    )  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"PYTHONIOENCODING": "utf-8"}, "utf-8"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
        ({"PYTHONIOENCODING": "ascii"}, "ascii"),
        ({"PYTHONIOENCODING": "ascii:strict"}, "ascii"),
        ({"LC_ALL": "C"}, "utf-8"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
    ],
)
def test_any_encoding(environment: dict[str, str], encoding: str) -> None:
    done = run(PROGRAM, environment)
    assert done.returncode == 0, done.stderr
    for shown in (done.stdout.splitlines()[0], done.stderr.splitlines()[0]):
        text = shown.decode(encoding, "surrogateescape")
        assert (
            text == HARD if encoding == "utf-8" else "\\u674e \\U0001f600 " in text and text.endswith(" + -")
        )
    assert done.stderr.endswith(b"failure: None\n")


def test_a_full_disk_is_told_and_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        done = run(PROGRAM, stdout=full)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (0, b"failure: No space left on device")
        assert run(PROGRAM, stderr=full).returncode == 0


def test_a_reader_that_left_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(PROGRAM, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, b"failure: None")


def test_closed_streams_are_nobodys() -> None:
    """Neither does a file that is opened later become standard output."""
    program = PROGRAM + "import os; assert os.open('/dev/zero', os.O_RDONLY) > 2"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" >&- 2>&- <&-', sys.executable, program], check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("verb", ["version", "--help", "zzz"])
@pytest.mark.parametrize("where", [">/dev/full", "2>/dev/full", ">&-", "2>&-", "| true", ">&- 2>&-"])
def test_the_command_itself(verb: str, where: str) -> None:
    command = f'"$0" -m lookalike {verb} {where}'
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    full = where == ">/dev/full" and verb != "zzz"
    assert done.returncode == (2 if verb == "zzz" or full else 0), done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert ("standard output cannot be written" in done.stderr) == full
