"""Ctrl-C in every stage, of a real process: one line, exit code 130, and the next run completes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.runs.record import Record
from tests.pipeline.command_line import Ended, artifacts, drafts, records

INTERRUPTED = "interrupted; what was finished is kept and reused next time"
PATIENCE = 60.0
"""Seconds within which a process reaches the stage that the test waits for."""

Sign = Callable[[str], bool]
"""From what the process has written to standard error: whether it is where the test wants it."""


def lookalike(home: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "lookalike", "run", f"paths.root={home}", *overrides]


def complete(command: list[str]) -> Ended:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def interrupt(command: list[str], log: Path, sign: Sign) -> Ended:
    """Press Ctrl-C when ``sign`` is seen: SIGINT to the process and its children, as a terminal does."""
    with log.open("w+") as err:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True
        )
        deadline = time.monotonic() + PATIENCE
        while not sign(log.read_text()):
            assert process.poll() is None, f"it ended before the sign: {log.read_text()}"
            assert time.monotonic() < deadline, f"no sign of it: {log.read_text()}"
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate()
    return Ended(process.returncode, out, log.read_text())


def assert_interrupted(ended: Ended) -> None:
    assert ended.code == 130, ended
    assert "Traceback" not in ended.out + ended.err
    assert ended.err.splitlines()[-1] == INTERRUPTED


def results(record: dict[str, Any]) -> list[Any]:
    """What a run found, without what depends on the clock."""
    return [(point["label"], point["curves"], point["counts"]) for point in record["points"]]


# --- one run -----------------------------------------------------------------------------------------------

EMOJI = (
    "dataset=twemoji",
    "dataset.limit=3000",
    "model=pixels",
    "queries.n=5",
    "index=flat",
    "search.k=10",
    "search.repeats=1",
    "search.modes=[batch]",
    "measures.bootstrap=0",
    "tracking=none",
)


def test_while_embedding_the_finished_blocks_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = lookalike(home, *EMOJI)
    scratch = home / "store" / "scratch"

    ended = interrupt(command, tmp_path / "log", lambda _: any(scratch.glob("*.workbench/block-*.npz")))

    assert_interrupted(ended)
    assert (artifacts(home), drafts(home)) == ([], [])
    [block, *_] = scratch.glob("*.workbench/block-*.npz")
    kept = {int(row): vector for row, vector in zip(*unpack(block), strict=True)}
    [record] = records(home)
    assert (record["status"], record["points"]) == ("interrupted", [])

    assert complete(command).code == 0
    [vectors] = (home / "store" / "artifacts" / "embeddings").glob("*/embeddings.npy")
    embedded = np.load(vectors)
    assert len(embedded) == 3000
    for row, vector in kept.items():
        np.testing.assert_array_equal(embedded[row], vector)
    assert not list(scratch.iterdir())


def unpack(block: Path) -> tuple[Any, Any]:
    with np.load(block) as saved:
        return saved["rows"], saved["vectors"]


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """An experiment over ready vectors, whose stages take long enough to be met in."""
    file = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(file, np.random.default_rng(5).standard_normal((20_000, 64)).astype(np.float32))
    return (
        "dataset=embeddings",
        f"dataset.root={file}",
        "queries=in_gallery",
        "queries.n=8_000",
        "index=ivf_flat",
        "index.nlist=512",
        "search.k=10",
        "search.modes=[batch]",
        "measures.cutoffs=[1,10]",
        "measures.bootstrap=0",
        "tracking=none",
    )


def test_in_each_later_stage_the_earlier_ones_are_kept(tmp_path: Path, heavy: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    scratch = home / "store" / "scratch"
    signs: dict[str, Sign] = {
        "exact": lambda _: any(scratch.glob("*.draft/neighbours.npy")),
        "index": lambda err: "exact: " in err and len(list(scratch.glob("*.draft"))) == 2,
        "timing": lambda err: "serving: " in err,
    }
    left = {
        "exact": ["embeddings", "queries"],
        "index": ["difficulty", "embeddings", "exact", "queries"],
        "timing": ["difficulty", "embeddings", "exact", "index", "queries", "serving", "trained"],
    }
    reused: set[str] = set()
    for stage, sign in signs.items():
        ended = interrupt(lookalike(home, *heavy, "search.seconds=60"), tmp_path / stage, sign)
        assert_interrupted(ended)
        assert drafts(home) == []
        assert records(home)[-1]["status"] == "interrupted"
        assert artifacts(home) == left[stage]
        assert reused <= set(ended.err.splitlines())
        reused = {f"{kind}: reused" for kind in left[stage] if kind not in ("difficulty", "trained")}

    ended = complete(lookalike(home, *heavy, "search.repeats=1"))
    assert ended.code == 0
    assert reused <= set(ended.err.splitlines())

    undisturbed = tmp_path / "undisturbed"
    assert complete(lookalike(undisturbed, *heavy, "search.repeats=1")).code == 0
    assert results(records(home)[-1]) == results(records(undisturbed)[-1])


# --- a sweep -----------------------------------------------------------------------------------------------


def test_between_the_points_of_a_sweep_the_finished_ones_are_compared(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    home = tmp_path / "home"
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, np.random.default_rng(5).standard_normal((1000, 16)).astype(np.float32))
    command = [
        *lookalike(home, "dataset=embeddings", f"dataset.root={vectors}", "queries=in_gallery"),
        *("queries.n=50", "index=ivf_flat", "search.k=10", "search.seconds=0.2", "measures.bootstrap=0"),
        *("-m", "index.nlist=4,8,16"),
    ]

    ended = interrupt(command, tmp_path / "log", lambda _: len(records(home)) == 1)

    assert_interrupted(ended)
    assert "ivf_flat nlist=4" in ended.out, "the table of what was finished"
    assert drafts(home) == []
    first, *others = records(home)
    assert first["status"] == "finished"
    assert {record["status"] for record in others} <= {"interrupted"}
    [sweep] = home.glob("multirun/*/*")
    rows = (sweep / "comparison.csv").read_text().splitlines()
    assert len(rows) == 2
    assert "nlist=4" in rows[1]
    assert (sweep / "pareto.png").read_bytes().startswith(b"\x89PNG")

    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    [experiment] = [found for found in client.search_experiments() if found.name == "lookalike"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "lookalike.sweep" in run.data.tags]
    assert [run.info.status for run in parents] == ["KILLED"]
    children = {run.info.status for run in runs if run not in parents}
    assert children == {"FINISHED", *(["KILLED"] if others else [])}

    again = complete([*command, "tracking=none"])
    assert again.code == 0
    assert "embeddings: reused" in again.err.splitlines()
    [before, *_, last] = sorted(home.glob("multirun/*/*"))
    assert before == sweep
    found = [Record.load(path) for path in last.glob("*/record.json")]
    labels = {point.label: point.curves for record in found for point in record.points}
    assert len(labels) == 3
    [point] = first["points"]
    assert labels[point["label"]] == point["curves"]
