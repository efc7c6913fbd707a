"""Which runs a word means, for every verb that takes one: the latest, a name, an id, folders, files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lookalike.cli import main
from lookalike.errors import UserError
from lookalike.index.families.flat import FlatIndex
from lookalike.report import write_comparison
from lookalike.runs.catalog import (
    find_searchable,
    find_sweep,
    searchable_points,
    select,
    select_all,
    sweeps_below,
    title_of,
)
from lookalike.runs.paths import SweepPaths
from lookalike.runs.record import Record
from lookalike.schemas import EmbeddingsDataset, HeldOutQueries, SyntheticDataset, VectorsQueries
from lookalike.sweep.grouping import group_records
from lookalike.sweep.ledger import Ledger
from tests.records import make_point, make_record, make_sweep
from tests.report.raw import save_run, save_sweep
from tests.runs.runs import finished, painted

NAME = 'four | families <of "indexes"> & more'


def dated(records: list[Record], day: int) -> list[Record]:
    for minute, record in enumerate(records):
        record.started = f"2026-11-{day}T12:0{minute}:00+00:00"
    return records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An older sweep without a title, a sweep with one, and a newer single run."""
    old, new = tmp_path / "multirun/2026-11-20/10-00-00.1", tmp_path / "multirun/2026-11-21/10-00-00.1"
    save_sweep(old, dated(make_sweep()[:2], 20))
    runs = save_sweep(new, dated(make_sweep(), 21))
    write_comparison([run.record for run in runs], new, NAME)
    [alone] = dated([make_record(name="alone")], 22)
    save_run(tmp_path / "outputs/2026-11-22/09-00-00.1", alone)
    return tmp_path


def test_the_latest_is_what_was_started_last(root: Path) -> None:
    assert select(root).name == select(root, "latest").name == "alone"
    [later] = dated([make_record(name="of a sweep")], 23)
    save_run(root / "multirun/2026-11-21/10-00-00.1/job9", later)
    assert (select(root).name, len(select(root).runs)) == (NAME, 5)


@pytest.mark.parametrize("words", [[], ["latest"]])
def test_a_report_shows_the_latest_as_a_query_asks_it(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["report", *words, "--root", str(root), "--no-images"]) == 0
    assert f"written: {root / 'outputs/2026-11-22/09-00-00.1/report.html'}" in capsys.readouterr().out


def test_what_failed_is_the_latest_only_while_nothing_was_measured(root: Path, tmp_path: Path) -> None:
    [failed] = dated([make_record([], name="failed", status="failed", error="no images")], 25)
    save_run(root / "outputs/2026-11-25/1", failed)
    assert select(root).name == "alone"
    save_run(tmp_path / "another/outputs/2026-11-25/1", failed)
    assert select(tmp_path / "another").name == "failed"


def test_names_folders_and_files(root: Path) -> None:
    assert len(select(root, NAME).runs) == 4
    old = root / "multirun/2026-11-20/10-00-00.1"
    assert len(select(root, str(old)).runs) == len(select(root, "multirun/2026-11-20/10-00-00.1").runs) == 2
    [run] = select(root, str(old / "job0/record.json")).runs
    assert run.record.name == "twemoji efficientnet_lite0 flat"
    both = select_all(root, [str(old / "job0"), str(root / "outputs")])
    assert len(both.runs) == 2 and both.folder == old / "job0"
    assert len(select_all(root, [str(old), str(old / "job0")]).runs) == 2, "a run named twice is one run"


@pytest.mark.parametrize(
    ("name", "cure"),
    [("four families of indexes", "did you mean 'four |"), ("zzz", "there are '"), ("%%", "no run or sweep")],
)
def test_an_unknown_name_is_a_users_error(root: Path, name: str, cure: str) -> None:
    with pytest.raises(UserError, match=cure.replace("|", r"\|")):
        select(root, name)


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no finished runs under"):
        select(tmp_path)
    with pytest.raises(UserError, match=r"holds no record\.json"):
        select(tmp_path, str(tmp_path))


def test_a_title_reads_the_same_for_every_reader(tmp_path: Path) -> None:
    title = "cats & <dogs> | a *b*"
    sweep, alone = tmp_path / "multirun/2026-11-20/1", tmp_path / "outputs/2026-11-21/1"
    runs = save_sweep(sweep, dated(make_sweep()[:2], 20))
    points = [make_point(), make_point(trial_key="2", label="another")]
    runs += [save_run(alone, dated([make_record(points)], 21)[0])]
    for folder in (sweep, alone):
        write_comparison([run.record for run in runs], folder, title)
        assert title_of(folder) == title
        assert select(tmp_path, str(folder)).name == title  # of report and query
        [group] = group_records([folder]).groups  # of sync, and so MLflow's name of the parent
        assert group.run_group is not None and group.run_group.name == title
    assert select(tmp_path, title).folder == alone, "the newest of that name"


def test_sweeps_are_found_by_name_path_and_as_the_latest(tmp_path: Path) -> None:
    older, newer = tmp_path / "multirun/mine", tmp_path / "multirun/2026-11-20/10-00-00.1"
    for place, folder in enumerate((older, newer)):
        Ledger("title", "2026-11-20T10:00:00+00:00", []).save(folder)
        os.utime(SweepPaths(folder).ledger, (place, place))
    assert sweeps_below(tmp_path) == [newer, older]
    assert find_sweep(tmp_path, "mine") == find_sweep(tmp_path, str(older)) == older
    assert find_sweep(tmp_path, "latest") == newer
    with pytest.raises(UserError, match="did you mean mine"):
        find_sweep(tmp_path, "mime")


def test_runs_without_images_are_not_offered_for_searching(tmp_path: Path) -> None:
    """Made-up vectors, and ready ones whatever their config is called."""
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    np.save(tmp_path / "q.npy", np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32))
    queries = VectorsQueries(file=str(tmp_path / "q.npy"))
    ready = EmbeddingsDataset(name="of_our_own", root=str(tmp_path / "v.npy"))
    made_up = SyntheticDataset(n=60, dim=8)
    pictures = painted(tmp_path / "pictures", 20)
    finished(tmp_path, pictures, "ready", dataset=ready, queries=queries, index=FlatIndex())
    finished(tmp_path, pictures, "made", dataset=made_up, queries=HeldOutQueries(n=5), index=FlatIndex())
    finished(tmp_path, pictures, "images", index=FlatIndex())
    assert [run.folder.name for run in searchable_points(tmp_path)] == ["images"]
    finished(tmp_path, pictures, "newest", dataset=made_up, queries=HeldOutQueries(n=6), index=FlatIndex())
    assert find_searchable(tmp_path).folder.name == "images", "the search page begins with what it can show"
    with pytest.raises(UserError, match="there are no runs over images under"):
        find_searchable(tmp_path / "elsewhere")
