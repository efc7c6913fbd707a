"""record.json: what is written is read back, whole or not at all."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.cli.sync import _own_config
from lookalike.errors import OtherVersionError, UserError
from lookalike.report.table import comparison_csv, comparison_markdown
from lookalike.runs.catalog import find_point, records_of_sweep, runs_below, searchable_points, select
from lookalike.runs.points import RunPoint, best_point
from lookalike.runs.record import Record
from lookalike.runs.results import save_beside
from lookalike.tracking import content
from lookalike.ui.app import choice_of
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


# --- records that are amended ------------------------------------------------------------------------------


def test_what_another_process_added_meanwhile_stays(tmp_path: Path) -> None:
    record = records.make_record([records.make_point(), records.make_point(p50_ms=0.2)])
    record.save(tmp_path)
    other = Record.load(tmp_path)

    def time_finally(amended: Record) -> None:
        amended.points[1].final_latency = {"single": {"p50_ms": 0.3}}

    def refer(amended: Record) -> None:
        amended.points[0].mlflow_run_id = "a" * 32

    other.amend(tmp_path, time_finally)
    record.amend(tmp_path, refer)

    assert record.points[0].mlflow_run_id == "a" * 32
    kept = Record.load(tmp_path)
    assert kept.points[0].mlflow_run_id == "a" * 32
    assert kept.points[1].final_latency == {"single": {"p50_ms": 0.3}}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_amending_at_once_loses_nothing(tmp_path: Path) -> None:
    record = records.make_record()
    record.save(tmp_path)

    def amend(number: int) -> None:
        Record.load(tmp_path).amend(tmp_path, lambda amended: amended.extras.update({f"{number}": number}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(amend, range(32)))
    assert Record.load(tmp_path).extras == {f"{number}": number for number in range(32)}


def test_amending_never_touches_the_record_of_another_run(tmp_path: Path) -> None:
    record = records.make_record(name="mine")
    records.make_record(name="another's").save(tmp_path)
    before = (tmp_path / "record.json").read_bytes()
    with pytest.raises(UserError, match="finished record of another run"):
        record.amend(tmp_path, lambda amended: amended.extras.update(a=1))
    assert (tmp_path / "record.json").read_bytes() == before


def test_a_record_that_is_gone_is_written_again_by_amending_it(tmp_path: Path) -> None:
    record = records.make_record()
    record.amend(tmp_path, lambda amended: amended.extras.update(a=1))
    assert Record.load(tmp_path) == record
    assert record.extras == {"a": 1}


# --- records that others made ------------------------------------------------------------------------------


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a JSON object stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*place, name)
        yield from places_in(item, (*place, name))


def put(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    changed = inner = copy.deepcopy(value)
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = odd
    return changed


ODD = (None, [], {}, "", "x", -1, 10**30, True, [1], {"a": {"b": "c"}}, 1e308, 10**400, "\ud800")


def test_a_record_with_any_odd_value_is_refused_in_words_or_read_by_all(tmp_path: Path) -> None:
    """Each value in turn is replaced by one of a wrong type; what is let through breaks no reader."""
    good = records.make_record()
    whole = json.loads(good.save(tmp_path).read_text())
    refused = 0
    odd_values = cycle(ODD)  # a number that is not a divisor of what repeats in a record
    mutants = [put(whole, place, next(odd_values)) for place in places_in(whole)]
    for mutant in mutants:
        (tmp_path / "record.json").write_text(json.dumps(mutant))
        try:
            record = Record.load(tmp_path)
        except UserError as error:
            refused += 1
            assert str(tmp_path) in str(error)
            continue
        read_by_all(record, good, tmp_path)
    assert 0.2 * len(mutants) < refused < len(mutants)


def read_by_all(record: Record, good: Record, folder: Path) -> None:
    comparison_csv([good, record])
    comparison_markdown([good, record], "title")
    assert record.identity and record.trial_keys is not None
    for point in record.points:
        one = RunPoint(folder, record, point)
        best_point([one])
        choice_of(one)
        content.params(record, point)
        content.tags(record, point)
        content.single_metrics(point)
        content.curve_metrics(point)
        content.dataset_input(record)
        content.run_name(record, point)


def nested(path: Path) -> None:
    path.write_text('{"format": 1, "extras": ' + "[" * 100_000 + "]" * 100_000 + "}")


def nested_a_little(path: Path) -> None:
    whole = json.loads(path.read_text())
    whole["extras"] = {"a": "deep"}
    text = json.dumps(whole).replace('"deep"', "[" * 300 + "]" * 300)
    path.write_text(text)


def of_a_wrong_type(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"points": {"0": 1}}))


def of_a_newer_format(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))


def not_a_number(path: Path) -> None:
    path.write_text(path.read_text().replace("0.95", "NaN", 1))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def bytes_of_another_file(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 10)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


ODD_FILES = [
    nested,
    nested_a_little,
    of_a_wrong_type,
    of_a_newer_format,
    not_a_number,
    pipe,
    bytes_of_another_file,
    link_to_nothing,
]


@pytest.mark.parametrize("spoil", ODD_FILES)
def test_one_odd_record_is_named_and_left_out_by_whoever_reads_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    sweep = tmp_path / "multirun" / "sweep"
    for name in ("a", "b", "odd"):
        record = records.make_record(name=name, started=f"2026-11-22T12:00:0{len(name)}+00:00")
        record.save(sweep / name)
    (sweep / "multirun.yaml").touch()
    spoil(sweep / "odd" / "record.json")

    assert find_point(tmp_path, "a").record.name == "a"  # of query, export, judge
    told = capsys.readouterr().err
    assert told.startswith("warning: a record is left out: ") and str(sweep / "odd") in told
    assert len(told.splitlines()) == 1
    assert {run.record.name for run in runs_below(sweep)} == {"a", "b"}  # of report
    assert {run.record.name for run in select(tmp_path, str(sweep)).runs} == {"a", "b"}
    assert set(records_of_sweep(sweep)) == {"a", "b"}  # of sweep
    assert len(searchable_points(tmp_path)) == 1  # of ui: one index
    assert capsys.readouterr().err == "", "it is said once"
    with pytest.raises(UserError, match=r"odd"):
        find_point(tmp_path, str(sweep / "odd"))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"lid": [1.0, 2.0]}, "lid has not 3 numbers"),
        ({"lid": [1.0, "2", 3.0]}, "lid.1. is not a float"),
        ({"distance_ratio": "far"}, "distance_ratio is not a float"),
        ({"rank": 1.5}, "rank is not a int"),
    ],
)
def test_a_difficulty_that_is_none_is_refused(tmp_path: Path, known: dict[str, Any], said: str) -> None:
    record = records.make_record()
    record.data["difficulty"] = known
    record.save(tmp_path)
    with pytest.raises(UserError, match=said):
        Record.load(tmp_path)


def test_a_quarter_that_lacks_a_number_is_refused(tmp_path: Path) -> None:
    quarters = records.quarters(0.9, 0.8)
    del quarters[2]["mean"]
    records.make_record([records.make_point(by_difficulty={"lid": quarters})]).save(tmp_path)
    with pytest.raises(UserError, match="a quarter of lid lacks a number"):
        Record.load(tmp_path)


def test_a_raw_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    records.make_record([records.make_point(neighbours="../../other/points.npz")]).save(tmp_path)
    with pytest.raises(UserError, match="leads out of the record's folder"):
        Record.load(tmp_path)


@pytest.mark.parametrize(
    ("exact", "told"),
    [
        ({"curves": {}, "values": "../../other/points.npz"}, "leads out of the record's folder"),
        ({"curves": {"hit_rate": {"one": 0.5}}, "values": "a.npz"}, "cut-off of hit_rate is not a number"),
        ({"curves": {"hit_rate": 0.5}, "values": "a.npz"}, "hit_rate is not a"),
        ({"curves": {}}, "values"),
    ],
)
def test_a_damaged_exact_answer_is_refused(tmp_path: Path, exact: dict[str, Any], told: str) -> None:
    record = records.make_record()
    record.data["exact_answer"] = exact
    record.save(tmp_path)
    with pytest.raises(UserError, match=told):
        Record.load(tmp_path)


def test_a_server_that_only_a_record_names_is_not_used(tmp_path: Path) -> None:
    record = records.make_record()
    record.config["tracking"] = {"kind": "server", "uri": "http://x.example/;rm -r ~", "experiment": "a b"}
    with pytest.raises(UserError) as error:
        _own_config(record)
    assert str(error.value).endswith(
        "lookalike sync tracking=server 'tracking.uri=http://x.example/;rm -r ~' 'tracking.experiment=a b'"
    )


# --- publishing --------------------------------------------------------------------------------------------


def test_a_finished_record_of_another_run_is_never_replaced(tmp_path: Path) -> None:
    """A process that was suspended for longer than its lease comes back to a sweep that is over."""
    path = records.make_record(started="2026-11-22T12:00:00+00:00").save(tmp_path)
    before = path.read_bytes()
    for status in ("finished", "failed", "interrupted"):
        late = records.make_record(started="2026-11-22T11:00:00+00:00", status=status)
        with pytest.raises(UserError, match="is the finished record of another run and is kept"):
            late.save(tmp_path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_result_replaces_a_try_that_did_not_finish(tmp_path: Path, status: str) -> None:
    records.make_record([], status=status, name="first try").save(tmp_path)
    records.make_record(name="second try").save(tmp_path)
    assert Record.load(tmp_path).name == "second try"


def test_the_same_run_may_be_saved_again(tmp_path: Path) -> None:
    records.make_record().save(tmp_path)
    again = Record.load(tmp_path)
    again.points[0].mlflow_run_id = "0" * 32
    again.save(tmp_path)
    assert Record.load(tmp_path).points[0].mlflow_run_id == "0" * 32


def test_of_many_that_finish_at_once_one_is_kept(tmp_path: Path) -> None:
    records.make_record([], status="failed", name="before").save(tmp_path)

    def save(number: int) -> bool:
        try:
            records.make_record(name=f"run {number}").save(tmp_path)
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(save, range(16)))
    assert saved.count(True) == 1
    assert Record.load(tmp_path).name == f"run {saved.index(True)}"


def test_what_cannot_be_read_is_kept_beside_the_new_record(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{half of a reco")
    records.make_record(name="new").save(tmp_path)
    assert Record.load(tmp_path).name == "new"
    assert (tmp_path / "record.damaged.json").read_text() == "{half of a reco"


def test_a_record_of_another_version_is_never_replaced(tmp_path: Path) -> None:
    path = records.make_record().save(tmp_path)
    of_a_newer_format(path)
    with pytest.raises(OtherVersionError, match=r"in format 2 \(this one reads format 1\)"):
        records.make_record(name="new").save(tmp_path)


def test_a_file_name_of_raw_bytes_does_not_cost_the_record(tmp_path: Path) -> None:
    record = records.make_record()
    record.config["dataset"]["root"] = os.fsdecode(b"caf\xe9")
    record.save(tmp_path)
    assert Record.load(tmp_path).config["dataset"]["root"] == "caf?"


def test_raw_results_of_another_run_stay_where_its_record_names_them(tmp_path: Path) -> None:
    names = [save_beside(tmp_path / "flat.npz", rows=np.array([number])).name for number in range(3)]
    assert names == ["flat.npz", "flat.2.npz", "flat.3.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    with np.load(tmp_path / "flat.npz") as kept:
        assert kept["rows"].tolist() == [0], "of the finished record"
