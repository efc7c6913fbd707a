"""What ``--run`` may say, and which operating point it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lookalike.errors import UserError
from lookalike.runs.catalog import find_point
from lookalike.runs.record import PointRecord, Record
from tests.records import make_ladder, make_point, make_record

IDS = [f"{number:x}" * 32 for number in range(10, 15)]


def put(folder: Path, minute: int, points: list[PointRecord], **changes: Any) -> Record:
    record = make_record(points, started=f"2026-11-22T12:{minute:02}:00+00:00", **changes)
    record.save(folder)
    return record


def put_sweep(folder: Path, name: str, jobs: dict[str, list[PointRecord]], minute: int, parent: str) -> None:
    for number, (job, points) in enumerate(jobs.items()):
        record = make_record(points)
        config = {**record.config, "tracking": {"parent": parent}}
        put(folder / job, minute + number, points, config=config)
    (folder / "multirun.yaml").touch()
    (folder / "comparison.md").write_text(f"# {name}\n\n| a | table |\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An old run, a sweep of three families, and a newer run."""
    put(tmp_path / "outputs" / "old", 0, [make_point(recall=0.3, mlflow_run_id=IDS[0])])
    jobs = {
        "flat": make_ladder("flat", None, [0]),
        "ivf": make_ladder("ivf_flat", "nprobe", [1, 8, 64]),  # 64 of 64: every list
        "hnsw": [make_point("hnsw", {"hnsw_m": 32}, {"ef_search": 64}, 0.9, 0.3, mlflow_run_id=IDS[1])],
    }
    put_sweep(tmp_path / "multirun" / "families", "index=flat,ivf_flat", jobs, 10, parent=IDS[2])
    put(tmp_path / "outputs" / "new", 30, [make_point(recall=0.5)], name="the newest")
    return tmp_path


@pytest.mark.parametrize(
    ("selector", "label"),
    [
        (None, "ivf_flat nlist=64 nprobe=8"),
        ("latest", "ivf_flat nlist=64 nprobe=8"),
        ("the newest", "ivf_flat nlist=64 nprobe=8"),
        ("outputs/new", "ivf_flat nlist=64 nprobe=8"),
        ("multirun/families/hnsw/record.json", "hnsw hnsw_m=32 ef_search=64"),
        (IDS[1], "hnsw hnsw_m=32 ef_search=64"),
        (IDS[1][:8], "hnsw hnsw_m=32 ef_search=64"),
        (IDS[2], "hnsw hnsw_m=32 ef_search=64"),
        ("index=flat,ivf_flat", "hnsw hnsw_m=32 ef_search=64"),
        ("multirun/families", "hnsw hnsw_m=32 ef_search=64"),
        ("index=flat,ivf_flat:nprobe=1", "ivf_flat nlist=64 nprobe=1"),
        ("index=flat,ivf_flat:ivf_flat nlist=64 nprobe=8", "ivf_flat nlist=64 nprobe=8"),
        ("multirun/families:flat", "flat"),
        (f"{IDS[2]}:nprobe=64", "ivf_flat nlist=64 nprobe=64"),
    ],
)
def test_all_ways_to_say_it(root: Path, selector: str | None, label: str) -> None:
    assert find_point(root, selector).point.label == label


def test_the_place_is_where_the_record_lies(root: Path) -> None:
    place = find_point(root, IDS[0])
    assert place.folder == root / "outputs" / "old"
    assert place.record.points[0].trial_key == place.point.trial_key


def test_latest_is_a_sweep_s_best_when_a_sweep_came_last(root: Path) -> None:
    put_sweep(root / "multirun" / "z", "z", {"a": make_ladder("ivf_flat", "nprobe", [1, 2])}, 40, IDS[3])
    put(root / "multirun" / "z" / "b", 39, make_ladder("hnsw", "ef_search", [16, 32, 64]))
    assert find_point(root).point.label == "hnsw hnsw_m=32 ef_search=64"


def test_the_newest_of_two_sweeps_of_one_name(root: Path) -> None:
    jobs = {"a": make_ladder("ivf_pq", "nprobe", [4])}
    put_sweep(root / "multirun" / "again", "index=flat,ivf_flat", jobs, 50, IDS[3])
    assert find_point(root, "index=flat,ivf_flat").point.label == "ivf_pq nlist=64 nprobe=4"


def test_exhaustive_points_are_the_best_only_among_themselves(tmp_path: Path) -> None:
    put_sweep(tmp_path / "multirun" / "x", "x", {"flat": make_ladder("flat", None, [0])}, 0, IDS[3])
    assert find_point(tmp_path, "x").point.label == "flat"


def test_models_are_told_apart_by_what_is_relevant_never_by_knn_recall(tmp_path: Path) -> None:
    """The model whose exact neighbours are easier to find need not be the one that finds the right ones."""
    good, easy = make_point(recall=0.8), make_point(recall=0.99)
    good.curves["relevant_recall"] = {"100": 0.9}
    easy.curves["relevant_recall"] = {"100": 0.4}
    for number, (name, point) in enumerate({"good": good, "easy": easy}.items()):
        data = {**make_record().data, "gallery_key": name}
        put(tmp_path / "multirun" / "m" / name, number, [point], data=data)
    (tmp_path / "multirun" / "m" / "multirun.yaml").touch()
    assert find_point(tmp_path).folder.name == "good"


def test_what_measured_nothing_is_passed_over(root: Path) -> None:
    put(root / "outputs" / "failed", 59, [], status="failed", error="no images")
    (root / "outputs" / "broken").mkdir()
    (root / "outputs" / "broken" / "record.json").write_text("{", encoding="utf-8")
    assert find_point(root).folder.name == "new"
    with pytest.raises(UserError, match=r"measured nothing \(no images\); name another one"):
        find_point(root, "outputs/failed")


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("nonsense", "is called nonsense; give a run's id"),
        ("nonsense:flat", "is called nonsense; give a run's id"),
        ("multirun/families:nprobe=3", "there is no point nprobe=3; choose one of flat, ivf_flat nlist=64"),
        ("multirun/families:ivf_flat", "ivf_flat names 3 points"),
        ("multirun/families/multirun.yaml", "is not JSON"),
    ],
)
def test_what_is_not_there(root: Path, selector: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_point(root, selector)


def test_an_id_that_several_runs_begin_with(root: Path) -> None:
    put(root / "outputs" / "twin", 1, [make_point(mlflow_run_id=IDS[0][:20] + "0" * 12)])
    with pytest.raises(UserError, match="begins several runs' ids; give more of it"):
        find_point(root, IDS[0][:8])
    assert find_point(root, IDS[0]).folder.name == "old"


def test_nothing_was_run_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run an experiment first: lookalike run"):
        find_point(tmp_path)
