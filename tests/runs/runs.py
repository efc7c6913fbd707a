"""Small finished runs on disk, as ``lookalike run`` leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lookalike.config.planning import plan
from lookalike.run import run
from lookalike.runs.session import Session
from tests.pipeline.conftest import paint, small_experiment


def painted(folder: Path, n: int) -> Path:
    """``n`` pictures: ``000.png``, ``001.png`` ..."""
    for number in range(n):
        paint(folder / f"{number:03}.png", number)
    return folder


def finished(root: Path, pictures: Path, name: str = "run", **changes: Any) -> Path:
    """The output folder of a small run under ``root``."""
    experiment = small_experiment(root, pictures, **changes)
    folder = root / "outputs" / name
    run(plan(experiment), folder, Session(experiment))
    return folder
