"""Which runs are meant: the latest sweep, a name, folders, files, an MLflow search."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.errors import TrackingError, UserError
from lookalike.report import write_comparison
from lookalike.report.selection import LEDGER, chosen_points, select
from lookalike.tracking import open_tracker
from lookalike.tracking.finding import find_points
from tests.records import make_point, make_record, make_sweep
from tests.report.raw import save_run, save_sweep

NAME = 'four | families <of "indexes"> & more'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A named sweep, a newer single run, and an older sweep that nobody named."""
    old, new = tmp_path / "multirun/2026-11-20/10-00-00.1", tmp_path / "multirun/2026-11-21/10-00-00.1"
    save_sweep(old, make_sweep()[:2])
    runs = save_sweep(new, make_sweep())
    write_comparison([run.record for run in runs], new, NAME)
    save_run(tmp_path / "outputs/2026-11-22/09-00-00.1", make_record(name="alone"))
    return tmp_path


def test_the_latest_sweep_is_meant_unless_said_otherwise(root: Path) -> None:
    selection = select(root)
    assert selection.name == NAME and len(selection.runs) == 4
    assert selection.folder == root / "multirun/2026-11-21/10-00-00.1"


def test_several_points_in_one_job_are_a_sweep(root: Path) -> None:
    points = [make_point(), make_point(trial_key="2", label="another")]
    save_run(root / "outputs/2026-11-23/09-00-00.1", make_record(points, name="two points"))
    assert select(root).name == "two points"


def test_a_sweep_with_a_folder_of_its_own_name_is_as_old_as_its_last_try(root: Path) -> None:
    folder = root / "multirun/mine"
    save_sweep(folder, make_sweep()[:3])
    ledger = folder / LEDGER
    ledger.write_text("{}")
    for day, chosen in ((19, NAME), (23, "mine")):
        written = datetime(2026, 11, day).timestamp()
        os.utime(ledger, (written, written))
        assert select(root).name == chosen
    assert select(root, ["mine"]).folder == folder


def test_without_a_sweep_the_latest_run(tmp_path: Path) -> None:
    save_run(tmp_path / "outputs/2026-11-22/09-00-00.1", make_record(name="alone"))
    assert select(tmp_path).name == "alone"


def test_names_folders_and_files(root: Path) -> None:
    assert len(select(root, [NAME]).runs) == 4
    old = root / "multirun/2026-11-20/10-00-00.1"
    assert len(select(root, [str(old)]).runs) == 2
    assert [run.record.name for run in select(root, [str(old / "job0/record.json")]).runs] == [
        "twemoji efficientnet_lite0 flat"
    ]
    both = select(root, [str(old / "job0"), str(root / "outputs")])
    assert len(both.runs) == 2 and both.folder == old / "job0"
    assert len(select(root, [str(old), str(old / "job0")]).runs) == 2, "a run named twice is one run"


@pytest.mark.parametrize(
    ("name", "cure"),
    [("four families of indexes", "did you mean 'four |"), ("zzz", "known sweeps: "), ("", "no sweep")],
)
def test_an_unknown_name_is_a_users_error(root: Path, name: str, cure: str) -> None:
    with pytest.raises(UserError, match=cure.replace("|", r"\|")):
        select(root, [name or "%%"])


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no runs below"):
        select(tmp_path)
    with pytest.raises(UserError, match=r"holds no record\.json"):
        select(tmp_path, [str(tmp_path)])


def test_mlflow_finds_points_and_their_raw_samples(tmp_path: Path) -> None:
    tracker = open_tracker(schemas.Tracking(experiment="mine"), tmp_path)
    parent = tracker.start_sweep("four families", "")
    folder = tmp_path / "multirun/2026-11-21/10-00-00.1"
    for run in save_sweep(folder, make_sweep()):
        assert run.folder is not None
        tracker.log(run.record, run.folder, parent)
    mlruns = tmp_path / "mlruns"

    found = find_points(mlruns, None, "mine", "params.nprobe = '8' and metrics.knn_recall_at_100 > 0.7")
    [run] = chosen_points(tmp_path, found)
    assert [point.label for point in run.record.points] == ["ivf_flat nlist=64 nprobe=8"]
    assert run.folder == folder / "job1"
    [elsewhere] = chosen_points(tmp_path / "another root", found)
    assert elsewhere.folder is None and elsewhere.record.points[0].label == "ivf_flat nlist=64 nprobe=8"
    assert (
        sum(len(run.record.points) for run in chosen_points(tmp_path, find_points(mlruns, None, "mine", "")))
        == 6
    )

    with pytest.raises(TrackingError, match=r"choose one of .*mine"):
        find_points(mlruns, None, "yours", "")
    with pytest.raises(TrackingError, match="does not understand the filter"):
        find_points(mlruns, None, "mine", "recall is high")
    with pytest.raises(TrackingError, match="run an experiment first"):
        find_points(tmp_path / "nowhere", None, "mine", "")
