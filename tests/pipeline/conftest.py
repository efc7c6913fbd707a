"""A small folder of images and an experiment over it that runs in a moment, without MLflow or Hydra."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.cli import main
from lookalike.config.planning import plan
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.run import run
from lookalike.runs.record import Record
from lookalike.runs.session import Session
from lookalike.schemas import CopiesQueries, Experiment, FolderDataset, Measures, Paths, PixelsModel, Search
from tests.notes import Notes
from tests.pipeline.command_line import QUICK, Ended, Run

RunOf = Callable[..., Record]


def paint(path: Path, seed: int) -> None:
    """A picture of a few soft blobs, no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """80 pictures in two folders."""
    root = tmp_path / "pictures"
    for number in range(80):
        paint(root / ("cats" if number % 2 else "dogs") / f"{number:03}.png", number)
    return root


def small_experiment(root: Path, pictures: Path, **changes: Any) -> Experiment:
    """Five originals × seven edits against an IVF of eight lists, timed for a moment."""
    parts: dict[str, Any] = {
        "dataset": FolderDataset(root=str(pictures)),
        "model": PixelsModel(),
        "queries": CopiesQueries(n=5),
        "index": IvfFlatIndex(nlist=8, point={"nprobe": 2}),
        "search": Search(k=10, warm_up=1, repeats=1),
        "measures": Measures(cutoffs=[1, 5, 10], bootstrap=50),
        "paths": Paths(root=str(root)),
    }
    return Experiment(**(parts | changes))


@pytest.fixture
def run_of(tmp_path: Path, pictures: Path) -> RunOf:
    """Run the small experiment with changes, each time as a new process would: with nothing loaded."""
    count = 0

    def perform(notes: Notes | None = None, **changes: Any) -> Record:
        nonlocal count
        count += 1
        experiment = small_experiment(tmp_path, pictures, **changes)
        return run(plan(experiment), tmp_path / "outputs" / str(count), Session(experiment, notes or Notes()))

    return perform


def outcomes(record: Record) -> dict[str, str]:
    """What each stage did: built or reused."""
    return {stage["stage"]: stage["outcome"] for stage in record.stages}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where everything is written."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(name="run")
def run_command(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """``lookalike run`` in this process; FAISS's own words are captured as well."""

    def perform(*overrides: str) -> Ended:
        capfd.readouterr()
        code = main(["run", f"paths.root={home}", *QUICK, *overrides])
        return Ended(code, *capfd.readouterr())

    return perform
