"""What ``lookalike ui`` and ``lookalike judge`` say when they cannot serve, and how a judgement stands."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.cli import main
from tests.ui.worlds import Home

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: str) -> str:
    """The one line that the command ends with."""
    assert main([*arguments, "--no-browser"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_without_runs_there_is_nothing_to_search(tmp_path: Path, capsys: Capture) -> None:
    assert "there are no runs over images" in refused(capsys, "ui", "--root", str(tmp_path))


@pytest.mark.parametrize("verb", [["ui"], ["judge", "fine", "coarse"]])
def test_a_taken_port_is_told_with_another_one(home: Home, capsys: Capture, verb: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(capsys, *verb, "--root", str(home.root), "--port", str(port))
    assert f"port {port} is taken" in said and f"--port {port + 1}" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fine", "fine"), "the same model"),
        (("fine", "fine", "--answers", "index"), "name two runs"),
        (("fine", "nowhere"), "called nowhere"),
        (("fine", "coarse", "-n", "0"), "must both be 1 or more"),
    ],
)
def test_a_pair_that_cannot_be_judged_is_refused(
    home: Home, capsys: Capture, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(capsys, "judge", *arguments, "--root", str(home.root))


def test_how_a_judgement_stands_is_said_without_a_server(home: Home, capsys: Capture) -> None:
    assert main(["judge", "fine", "coarse", "--seed", "99", "--result", "--root", str(home.root)]) == 0
    said = "0 of 50 pairs judged: ivf_flat nlist=8 nprobe=1 better in 0, flat in 0, about the same in 0"
    assert capsys.readouterr().out.splitlines() == [said]


def test_without_streamlit_the_extra_is_named(home: Home) -> None:
    code = "import sys; sys.modules['streamlit'] = None; from lookalike.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "ui", "--root", str(home.root), "--no-browser"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert 'pip install "lookalike[ui]"' in done.stderr
