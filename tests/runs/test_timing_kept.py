"""What a run keeps of its timing: facts in the record, samples with their turn and query beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.runs.record import Record
from lookalike.schemas import Search
from tests.pipeline.conftest import RunOf, pictures, run_of  # noqa: F401 — a small real run


def test_turns_queries_and_intervals_are_kept(run_of: RunOf, tmp_path: Path) -> None:  # noqa: F811
    search = Search(
        k=10, seconds=0.05, warm_up=1, batch_size=8, modes=["single", "batch", "saturated"], threads=2
    )
    folder = tmp_path / "outputs" / "1"
    run_of(search=search)
    record = Record.load(folder)
    [point] = record.points
    queries = record.data["query_count"]
    assert set(record.timing) >= {"drift", "busy_cores", "busy_cores_here", "throttled", "flags"}
    with np.load(folder / str(point.neighbours)) as raw:
        for mode, timing in point.latency.items():
            seconds, turn, query = (raw[f"{name}_{mode}"] for name in ("seconds", "turn_of", "query_of"))
            assert len(seconds) == len(turn) == len(query) == timing["samples"]
            assert (turn.dtype, query.dtype) == (np.int16, np.int32)
            assert 0 <= query.min() <= query.max() < queries
            medians = [1e3 * np.median(seconds[turn == number]) for number in np.unique(turn)]
            assert timing["turn_p50_ms"] == pytest.approx(medians)
    single, batch = point.latency["single"], point.latency["batch"]
    assert single["distinct_queries"] == batch["distinct_queries"] == queries
    low, high = single["p50_ms_interval"]
    assert low <= single["p50_ms"] <= high
    assert 1 < len(single["turn_p50_ms"]) <= 9
    assert "p99_ms_interval" not in single, "too few queries for the tail"
