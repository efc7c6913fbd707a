"""A home with pictures and runs of two models over them, and the commands that serve it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lookalike.config.planning import plan
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.run import run
from lookalike.runs.session import Session
from lookalike.schemas import PixelsModel
from tests.pipeline.conftest import paint, small_experiment

PATIENCE_SECONDS = 40.0
PICTURES = 60


class Home(NamedTuple):
    """``paths.root`` of two finished runs."""

    root: Path
    pictures: Path


def make_home(root: Path) -> Home:
    """An index that loses much (IVF, one list of eight visited), and a coarser model, over 60 pictures."""
    home = Home(root / "home", root / "pictures")
    for number in range(PICTURES):
        paint(home.pictures / ("cats" if number % 2 else "dogs") / f"{number:03}.png", number)
    models = {
        "fine": (PixelsModel(side=16), IvfFlatIndex(nlist=8, point={"nprobe": 1})),
        "coarse": (PixelsModel(side=1), FlatIndex()),
    }
    for name, (model, index) in models.items():
        experiment = small_experiment(home.root, home.pictures, model=model, index=index, name=name)
        run(plan(experiment), home.root / "outputs" / name, Session(experiment))
    return home


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served(NamedTuple):
    """A command that serves, and what it wrote when it has ended."""

    port: int
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> str:
        """End it as a shell or a scheduler would; its standard output."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return out


@contextmanager
def served(root: Path, temporary: Path, *arguments: str) -> Iterator[Served]:
    """``lookalike`` with ``arguments``, once its page answers; its temporary files in ``temporary``."""
    port = free_port()
    command = [sys.executable, "-m", "lookalike", *arguments, "--root", str(root), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=root,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Served(port, process)
    try:
        _wait_for(running)
        yield running
    finally:
        if process.poll() is None:
            running.end()


def _wait_for(running: Served) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert running.process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{running.address}/_stcore/health", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not answer in time")
