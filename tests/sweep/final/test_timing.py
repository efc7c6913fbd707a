"""Points of finished runs, timed together: the same rounds for all, whole records whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.evaluate.timing.results import TimedPoints
from lookalike.evaluate.timing.rounds import Candidate, time_points
from lookalike.index.searchers import Floats, Rows, Searcher
from lookalike.progress import Progress
from lookalike.report.captions import caption
from lookalike.report.rows import rows_of
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.record import Record
from lookalike.schemas import Search
from lookalike.sweep.final.state import is_due
from lookalike.sweep.final.timing import time_finally
from tests.notes import Notes


class Logged:
    """A searcher that writes down, in a list that all share, whose turn it is."""

    def __init__(self, searcher: Searcher, name: str, log: list[str]) -> None:
        self.searcher, self.name, self.log = searcher, name, log

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[Floats], tuple[Floats, Rows]]:
        search = self.searcher.prepare(k, settings)

        def logged(queries: Floats) -> tuple[Floats, Rows]:
            self.log.append(self.name)
            return search(queries)

        return logged


def records(sweep: Path) -> dict[str, Record]:
    return records_of_sweep(sweep)


def test_all_points_have_their_turns_in_the_same_rounds(sweep: Path) -> None:
    log: list[str] = []

    def time(candidates: Sequence[Candidate], search: Search, progress: Progress) -> TimedPoints:
        logged = [
            replace(candidate, searcher=Logged(candidate.searcher, name, log))
            for name, candidate in zip("abc", candidates, strict=True)
        ]
        assert len({id(candidate.queries) for candidate in candidates}) == 1
        return time_points(logged, replace(search, modes=["single"], warm_up=0), progress=progress)

    assert time_finally(sweep, Notes(), time=time) == 3

    turns = [name for name, _ in groupby(log)]
    rounds = 2  # search.repeats
    calls = {name: log.count(name) for name in "abc"}
    assert calls == dict.fromkeys("abc", 20 * rounds + 1), "each query in every round; then what is found"
    assert len(turns) >= 3 * rounds - 1, "they take turns, none has all of its turns together"


def test_records_gain_a_second_timing_and_keep_all_that_they_had(sweep: Path) -> None:
    before = records(sweep)
    assert is_due(before.values())
    notes = Notes()

    assert time_finally(sweep, notes) == 3

    after = records(sweep)
    assert not is_due(after.values())
    assert notes.warned == []
    assert notes.said == ["final timing: 3 points of 3 indexes together"]
    [when] = {record.final_timing["when"] for record in after.values()}
    for name, record in after.items():
        assert record.final_timing["points"] == 3
        assert record.final_timing["hostname"] == record.environment["hostname"]
        [point], [was] = record.points, before[name].points
        assert point.final_latency["single"]["samples"] == point.latency["single"]["samples"] == 40
        assert point.metrics["final_latency_single_p50_ms"] == point.final_latency["single"]["p50_ms"]
        assert "final_qps_batch" in point.metrics
        assert point.final_samples is not None
        with np.load(sweep / name / point.final_samples) as samples:
            assert np.median(1e3 * samples["seconds_single"]) == point.final_latency["single"]["p50_ms"]
        assert {key: value for key, value in point.metrics.items() if key in was.metrics} == was.metrics
        gained = {"final_latency", "final_flags", "final_samples", "metrics"}
        kept = {key: value for key, value in vars(point).items() if key not in gained}
        assert kept == {key: value for key, value in vars(was).items() if key not in gained}
        assert replace(record, final_timing={}, points=[]) == replace(before[name], points=[])
    assert when > max(record.finished for record in after.values())


def test_what_is_done_is_not_done_again_unless_asked(sweep: Path) -> None:
    time_finally(sweep, Notes())
    first = records(sweep)

    def never(candidates: Sequence[Candidate], search: Search, progress: Progress) -> TimedPoints:
        raise AssertionError("it is done")

    assert time_finally(sweep, Notes(), time=never) == 0
    assert records(sweep) == first
    assert time_finally(sweep, Notes(), again=True) == 3
    second = records(sweep)
    assert second["flat"].final_timing["when"] > first["flat"].final_timing["when"]
    for name in second:
        assert len(list((sweep / name / "points").glob("*.final*.npz"))) == 1, "samples of the first are gone"
        assert (sweep / name / str(second[name].points[0].final_samples)).exists()


def test_a_kill_between_two_records_leaves_all_whole_and_is_not_done(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amend, amended = Record.amend, []

    def killed(record: Record, folder: Path, change: Callable[[Record], None]) -> None:
        if amended:
            raise SystemExit("killed")
        amended.append(folder.name)
        amend(record, folder, change)

    with monkeypatch.context() as patched:
        patched.setattr(Record, "amend", killed)
        with pytest.raises(SystemExit):
            time_finally(sweep, Notes())

    left = records(sweep)
    assert [name for name, record in left.items() if record.final_timing] == amended
    assert len(left) == 3
    assert is_due(left.values())
    assert not any(row.final for row in rows_of(list(left.values()))), "each job's own stands"

    assert time_finally(sweep, Notes()) == 3
    assert not is_due(records(sweep).values())
    assert all(row.final for row in rows_of(list(records(sweep).values())))


def test_a_point_whose_index_was_pruned_is_left_out(sweep: Path) -> None:
    key = records(sweep)["hnsw"].index["key"]
    [artifact] = (sweep.parents[1] / "store").glob(f"artifacts/index/{key}")
    shutil.rmtree(artifact)
    notes = Notes()

    assert time_finally(sweep, notes) == 2

    [warning] = notes.warned
    assert "hnsw" in warning and "is left out: the index of this run is no longer in" in warning
    after = records(sweep)
    assert {name for name, record in after.items() if record.final_timing} == {"flat", "ivf"}
    assert warning.removeprefix("final timing: ") in after["flat"].final_timing["notices"]
    assert not list((sweep.parents[1] / "store").glob(f"artifacts/index/{key}")), "nothing is built"


def test_indexes_that_do_not_fit_together_are_left_out(sweep: Path) -> None:
    notes = Notes()
    assert time_finally(sweep, notes, available_bytes=1) == 0
    assert "left out, because all indexes together take" in notes.warned[0]
    assert "nothing to compare" in notes.warned[1]
    assert not any(record.final_timing for record in records(sweep).values())


def test_a_timing_that_fails_leaves_the_records_as_they_were(sweep: Path) -> None:
    before = {path: path.read_bytes() for path in sweep.glob("*/record.json")}

    def broken(candidates: Sequence[Candidate], search: Search, progress: Progress) -> TimedPoints:
        raise UserError("the index cannot be searched; choose another")

    with pytest.raises(UserError, match="cannot be searched"):
        time_finally(sweep, Notes(), time=broken)
    assert {path: path.read_bytes() for path in sweep.glob("*/record.json")} == before


def test_only_modes_that_mean_the_same_are_timed(sweep: Path) -> None:
    record = Record.load(sweep / "flat")
    record.config["search"]["batch_size"] = 7
    (sweep / "flat/record.json").unlink()
    record.save(sweep / "flat")
    modes: list[Any] = []

    def time(candidates: Sequence[Candidate], search: Search, progress: Progress) -> TimedPoints:
        modes.append(search.modes)
        return time_points(candidates, search, progress=progress)

    time_finally(sweep, Notes(), time=time)
    assert modes[0] == ["single"]


def test_the_table_states_the_final_timing_and_says_so(sweep: Path) -> None:
    time_finally(sweep, Notes())
    rows = rows_of(list(records(sweep).values()))
    for row in rows:
        assert row.p50_ms == row.by_jobs.point.metrics["final_latency_single_p50_ms"]
    host = rows[0].record.environment["hostname"]
    assert f"latency: timed together afterwards on {host}, 3 points in shuffled rounds" in caption(rows)
