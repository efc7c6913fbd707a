"""What a run's record says of how hard its queries are, and what is kept of each beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.index.families.flat import FlatIndex
from lookalike.runs.record import Record
from lookalike.schemas import CopiesQueries, HeldOutQueries, InGalleryQueries
from tests.pipeline.conftest import RunOf


def raw(record: Record, folder: Path) -> dict[str, np.ndarray]:
    [file] = folder.rglob(Path(record.points[0].neighbours or "").name)
    with np.load(file) as arrays:
        return dict(arrays)


def test_recall_by_quarter_is_that_of_the_queries_in_it(run_of: RunOf, tmp_path: Path) -> None:
    record = run_of(queries=CopiesQueries(n=8))
    [point] = record.points
    kept = raw(record, tmp_path)
    assert set(point.by_difficulty) == {"lid", "relative_contrast"}
    for name, sign in (("lid", 1), ("relative_contrast", -1)):
        assert kept[name].dtype == np.float32
        order = np.argsort(sign * kept[name], kind="stable")
        for part, quarter in zip(np.array_split(order, 4), point.by_difficulty[name], strict=True):
            assert quarter["queries"] == len(part) == 14
            assert quarter["mean"] == pytest.approx(kept["knn_recall"][part].mean())
            assert quarter["low"] == pytest.approx(kept[name][part].min(), rel=1e-6)
            assert quarter["high"] == pytest.approx(kept[name][part].max(), rel=1e-6)
    known = record.data["difficulty"]
    assert known["lid"] == pytest.approx(np.quantile(kept["lid"], [0.25, 0.5, 0.75]), rel=1e-5)
    assert known["queries"] == 56
    missed = point.missed_neighbours
    assert missed["missed"] == round((1 - kept["knn_recall"]).sum() * 10)


def test_an_exact_index_misses_nothing(run_of: RunOf) -> None:
    [point] = run_of(index=FlatIndex(), queries=CopiesQueries(n=8)).points
    assert point.missed_neighbours == {}
    assert [quarter["mean"] for quarter in point.by_difficulty["lid"]] == [1, 1, 1, 1]


@pytest.mark.parametrize("queries", [HeldOutQueries(n=20), InGalleryQueries(n=20)])
def test_queries_of_the_gallery_are_neither_near_nor_far_and_not_their_own_equals(
    run_of: RunOf, queries: Any
) -> None:
    known = run_of(queries=queries).data["difficulty"]
    assert known["with_equals"] == 0
    low, high = known["distance_ratio_interval"]
    assert low < 1 < high
