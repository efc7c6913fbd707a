"""Commands under a pseudo-terminal, as a person types them, and the screen that they leave."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.terminal.screens import screen_of

LOOKALIKE = Path(sys.executable).with_name("lookalike")
CTRL_C = b"\x03"
PATIENCE_SECONDS = 550.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what stood on the screen then."""

    code: int
    lines: list[str]
    written: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """The screen as running text, so that a sentence is found wherever it was broken."""
        return " ".join(self.text.split())


def in_terminal(
    command: Sequence[str | Path],
    folder: Path,
    *,
    interrupt_at: str | None = None,
    width: int = 80,
    resize_to: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run ``command`` in a terminal of ``width`` columns whose working directory is ``folder``.

    Ctrl-C is pressed (or the terminal resized) as soon as ``interrupt_at`` was written.
    """
    ours, theirs = pty.openpty()
    _resize(theirs, width)
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI", "COLUMNS")}
    home = {"TERM": "xterm-256color", "LOOKALIKE_HOME": str(folder / "home")}
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=kept | home | dict(environment or {}),
        start_new_session=True,
        preexec_fn=_own_terminal,  # noqa: PLW1509 — it takes no lock
    )
    os.close(theirs)
    written, waiting = b"", interrupt_at
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.5)[0]:
                continue
            try:
                got = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody has the terminal open any more
                got = b""
            if not got:
                break
            written += got
            if waiting is not None and waiting in written.decode(errors="replace"):
                waiting = None
                if resize_to is None:
                    os.write(ours, CTRL_C)
                else:
                    _resize(ours, resize_to)
        else:
            shown = screen_of(written.decode(errors="replace"), width)
            raise AssertionError(f"not done after {PATIENCE_SECONDS} s: {shown}")
        code = process.wait(PATIENCE_SECONDS)
    finally:
        os.close(ours)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = written.decode(errors="replace")
    assert waiting is None, f"{waiting} was never written: {text}"
    return Ended(code, screen_of(text, resize_to or width), text)


def _own_terminal() -> None:
    """Make standard input the terminal that a process is controlled by: Ctrl-C reaches it from there."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(descriptor: int, width: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 60, width, 0, 0))


def assert_tidy(ended: Ended) -> None:
    """Nothing that is half drawn or meant for developers is left on the screen."""
    assert "Traceback" not in ended.text
    assert "Exception ignored" not in ended.text
    assert not re.search(r"[━╸╺⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", ended.text), "a bar is left"
    assert ended.written.rfind("\x1b[?25l") <= ended.written.rfind("\x1b[?25h"), "the cursor is hidden"
