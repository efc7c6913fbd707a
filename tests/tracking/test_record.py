"""record.json: what is written is read back, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.record import Record
from tests import records


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = records.make_record([records.make_point(), records.make_point(recall=0.5)])
    path = record.save(tmp_path)
    assert Record.load(path) == record
    assert Record.load(tmp_path) == record


def test_numbers_that_are_not_finite_are_left_out_with_their_interval(tmp_path: Path) -> None:
    point = records.make_point()
    point.metrics |= {"map_at_1": float("nan"), "qps_batch": float("inf"), "qps_single": 3.0}
    point.intervals["map"]["1"] = [0.1, float("nan")]
    records.make_record([point]).save(tmp_path)
    text = (tmp_path / "record.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    (kept,) = Record.load(tmp_path).points
    assert "map_at_1" not in kept.metrics and "qps_batch" not in kept.metrics
    assert kept.metrics["qps_single"] == 3.0
    assert kept.interval("map", 1) is None and kept.interval("map", 10) is not None


def test_numpy_values_and_integer_cutoffs_become_plain_json(tmp_path: Path) -> None:
    point = records.make_point()
    point.metrics = {"index_bytes": np.int64(7), "build_seconds": np.float32(0.5)}  # type: ignore[dict-item]
    point.curves = {"knn_recall": {10: np.float64(0.9), 1: 1.0}}  # type: ignore[dict-item]
    records.make_record([point], extras={"shape": np.array([2, 3]), "folder": Path("a/b")}).save(tmp_path)
    loaded = Record.load(tmp_path)
    assert loaded.points[0].metrics == {"index_bytes": 7, "build_seconds": 0.5}
    assert list(loaded.points[0].curve("knn_recall").items()) == [(1, 1.0), (10, 0.9)]
    assert loaded.extras == {"shape": [2, 3], "folder": "a/b"}


def test_curves_can_be_read_before_the_record_was_saved() -> None:
    point = records.make_point(curves={"map": {10: 0.5, 1: 0.25}}, intervals={"map": {10: [0.4, 0.6]}})
    assert point.curve("map") == {1: 0.25, 10: 0.5}
    assert point.interval("map", 10) == (0.4, 0.6)


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path) -> None:
    record = records.make_record()
    record.save(tmp_path)
    before = (tmp_path / "record.json").read_bytes()
    record.extras["open file"] = object()
    with pytest.raises(TypeError, match="cannot hold a object"):
        record.save(tmp_path)
    assert (tmp_path / "record.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "holds no record.json"),
        ("{", "is not JSON"),
        ("[]", "is not a run's record"),
        ('{"name": "x"}', "is not a run's record"),
        ('{"format": 2}', "another version"),
        ('{"format": 1, "points": []}', "damaged"),
        ('{"format": 1, "points": [{"unknown": 1}]}', "damaged"),
    ],
)
def test_what_is_no_record_is_refused_in_words(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=told):
        Record.load(tmp_path)


def test_identity_tells_runs_apart_but_not_folders_or_later_additions(tmp_path: Path) -> None:
    record = records.make_record()
    record.save(tmp_path)
    again = Record.load(tmp_path)
    again.points[0].mlflow_run_id = "set later"
    assert again.identity == record.identity
    assert records.make_record(started="2026-11-22T12:00:01+00:00").identity != record.identity


def test_the_file_says_its_format_first(tmp_path: Path) -> None:
    path = records.make_record().save(tmp_path)
    assert next(iter(json.loads(path.read_text()).items())) == ("format", 1)
