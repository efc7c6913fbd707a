"""A real sweep, killed half-way and begun again: what was measured is kept, and MLflow shows one sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.pipeline.command_line import QUICK
from tests.pipeline.conftest import paint
from tests.tracking.snapshots import families

PATIENCE_SECONDS = 120.0
SMALL = (
    *(line for line in QUICK if not line.startswith(("index=", "tracking="))),
    "dataset.limit=60",
    "queries.n=2",
    "index.threads=1",
    "search.threads=1",
    "sweep.name=mine",
)
SWEEP = (*SMALL, "index.nlist=2,4,8", "search.nprobe=1,2")
"""Six jobs of one point each."""


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LOOKALIKE_HOME": str(home)}
    command = [sys.executable, "-m", "lookalike", *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


def kill_when(home: Path, enough: int, *arguments: str) -> None:
    """Begin the command, and kill it for good when ``enough`` jobs have their record."""
    environment = os.environ | {"LOOKALIKE_HOME": str(home)}
    command, silent = [sys.executable, "-m", "lookalike", *arguments], subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, cwd=home, stdout=silent, stderr=silent)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(list(home.glob("multirun/mine/*/record.json"))) < enough:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def status(home: Path) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(run(home, "sweep", "status", "mine", "--json").stdout)
    return shown


def test_a_sweep_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    kill_when(tmp_path, 2, "run", "-m", *SWEEP)
    assert families(tmp_path)[0] == ["RUNNING"], "nobody could close it"
    counts = status(tmp_path)["counts"]
    assert counts["done"] >= 2
    assert counts["done"] + counts["lost"] == 6
    kept = {path: path.read_bytes() for path in tmp_path.glob("multirun/mine/*/points/*.npz")}

    again = run(tmp_path, "run", "-m", *SWEEP)
    assert again.returncode == 0, again.stderr
    assert f"mine: 6 points: {counts['done']} done" in again.stderr
    assert status(tmp_path)["counts"] == {"done": 6}
    assert families(tmp_path) == (["FINISHED"], Counter(FINISHED=6))
    assert {path: path.read_bytes() for path in kept} == kept
    assert (tmp_path / "multirun/mine/comparison.csv").read_text().count("ivf_flat") >= 6


def test_a_point_fails_everywhere_until_it_is_tried_again(tmp_path: Path) -> None:
    """Its jobs run in processes of their own, as a cluster's do."""
    pictures = [tmp_path / "pictures" / f"{number}.png" for number in range(8)]
    pictures[0].parent.mkdir()
    for picture in pictures:
        picture.write_bytes(b"no picture")
    root = pictures[0].parent
    data = ("dataset=folder", f"dataset.root={root}", "queries=in_gallery", "dataset.limit=null")
    sweep = (*SMALL, *data, "index=flat,brute_force", "hydra/launcher=submitit_local")

    failed = run(tmp_path, "run", "-m", *sweep)
    assert failed.returncode == 1, failed.stderr
    assert status(tmp_path)["counts"] == {"failed": 2}
    assert families(tmp_path) == (["FAILED"], Counter(FAILED=2))
    told = run(tmp_path, "sweep", "status", "mine").stdout
    assert "failed: flat\n" in told
    assert "go on with: lookalike sweep retry mine" in told
    assert run(tmp_path, "sweep", "collect", "mine").returncode == 1

    for seed, picture in enumerate(pictures):
        paint(picture, seed)
    mended = run(tmp_path, "sweep", "retry", "mine")
    assert mended.returncode == 0, mended.stderr
    assert "mine: 2 points: 2 failed → retrying" in mended.stderr
    assert status(tmp_path)["counts"] == {"done": 2}
    assert families(tmp_path) == (["FINISHED"], Counter(FINISHED=2))
    assert run(tmp_path, "sweep", "collect", "mine").returncode == 0
    assert families(tmp_path) == (["FINISHED"], Counter(FINISHED=2))
