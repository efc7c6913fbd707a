"""Points found by MLflow's search, with the raw samples of their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.errors import TrackingError
from lookalike.tracking import open_tracker
from lookalike.tracking.finding import find_points, runs_of
from tests.records import make_sweep
from tests.report.raw import save_sweep


def test_mlflow_finds_points_and_their_raw_samples(tmp_path: Path) -> None:
    tracker = open_tracker(schemas.Tracking(experiment="mine"), tmp_path)
    parent = tracker.start_sweep("four families", "")
    folder = tmp_path / "multirun/2026-11-21/10-00-00.1"
    for run in save_sweep(folder, make_sweep()):
        assert run.folder is not None
        tracker.log(run.record, run.folder, parent)
    mlruns = tmp_path / "mlruns"

    found = find_points(mlruns, None, "mine", "params.nprobe = '8' and metrics.knn_recall_at_100 > 0.7")
    [run] = runs_of(found, tmp_path)
    assert [point.label for point in run.record.points] == ["ivf_flat nlist=64 nprobe=8"]
    assert run.folder == folder / "job1"
    [elsewhere] = runs_of(found, tmp_path / "another root")
    assert elsewhere.folder is None and elsewhere.record.points[0].label == "ivf_flat nlist=64 nprobe=8"
    everything = runs_of(find_points(mlruns, None, "mine", ""), tmp_path)
    assert sum(len(run.record.points) for run in everything) == 6

    with pytest.raises(TrackingError, match=r"choose one of .*mine"):
        find_points(mlruns, None, "yours", "")
    with pytest.raises(TrackingError, match="does not understand the filter"):
        find_points(mlruns, None, "mine", "recall is high")
    with pytest.raises(TrackingError, match="run an experiment first"):
        find_points(tmp_path / "nowhere", None, "mine", "")
