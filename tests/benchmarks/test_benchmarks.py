"""Every benchmark runs from its command line, and its last line is the JSON object it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def last_line(script: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), "--size", "tiny"],
        cwd=folder,
        env={**os.environ, "LOOKALIKE_HOME": str(folder / "not here")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert lines, "people are told something as well"
    told: dict[str, Any] = json.loads(last)
    assert list(folder.iterdir()) == [], "a benchmark works in a temporary folder"
    return told


@pytest.mark.parametrize(
    ("script", "goal"),
    [
        pytest.param("reused_run", 1.3),
        pytest.param("sweep_overhead", 1.05),
        pytest.param("report_200", 1.0),
        pytest.param("exact_vs_faiss", 0.95),
        pytest.param("memory_growth", 1.1),
        pytest.param("embedding_vs_limit", 0.92),
        pytest.param("csv_vs_pandas", 25.0),
        pytest.param("merge_vs_single", 1.15),
        pytest.param("relevance_at_scale", 2.0),
        pytest.param("slurm_overhead", 1.0, marks=pytest.mark.slurm),
    ],
)
def test_the_last_line_is_the_verdict(script: str, goal: float, tmp_path: Path) -> None:
    told = last_line(f"{script}.py", tmp_path)
    assert (told["benchmark"], told["goal"], told["size"]) == (script, goal, "tiny")
    assert told["ok"] == (told["ratio"] >= goal if told["at_least"] else told["ratio"] <= goal)
    assert told["ratio"] > 0
    assert told["machine"]["cores"] >= 1


def test_what_cannot_be_measured_is_no_verdict(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "reused_run.py"), "--size", "tiny"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(_broken_lookalike(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "benchmark" not in done.stdout
    assert "the baseline's other half is missing" in done.stderr


def _broken_lookalike(folder: Path) -> Path:
    """A module path on which importing Hydra fails, so that `lookalike run` does."""
    (folder / "hydra.py").write_text('raise ImportError("the baseline\'s other half is missing")\n')
    return folder
