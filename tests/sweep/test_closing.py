"""The last lines that a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.config.composing import compose
from lookalike.runs.record import PointRecord
from lookalike.sweep.closing import closing_lines
from tests.records import make_point, make_record

RECORD = make_record(data={"gallery_size": 4009})


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOOKALIKE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


def test_where_how_and_an_honest_word(tmp_path: Path) -> None:
    assert closing_lines(compose(), [RECORD], tmp_path / "outputs/x") == [
        "results: outputs/x",
        "compare: lookalike mlflow",
        "4,009 images need no index. Next, your own:",
        "  lookalike run dataset=folder dataset.root=~/Pictures dataset.limit=5000",
    ]


OWN = ("dataset=folder", "dataset.root=/tmp", "tracking=none")


def test_another_root_is_named() -> None:
    experiment = compose(["dataset=folder", "dataset.root=/tmp", "paths.root=/data"])
    assert closing_lines(experiment, [RECORD], Path("/data/outputs/x"))[:2] == [
        "results: /data/outputs/x",
        "compare: lookalike mlflow --root /data",
    ]


def test_any_data_that_needs_no_index_is_told_so() -> None:
    flat = make_record([make_point("flat", {}, {}, recall=1.0, p50_ms=0.0213)], data={"gallery_size": 317})
    ready = compose(["dataset=embeddings", "tracking=none"])

    assert closing_lines(compose(OWN), [RECORD], Path("x"))[1:] == [
        "4,009 images need no index: index=flat is exact"
    ]
    assert closing_lines(compose(OWN), [flat], Path("x"))[1:] == [
        "317 images need no index: exact search took 0.021 ms (p50)"
    ]
    assert closing_lines(ready, [flat], Path("x"))[1].startswith("317 vectors need no index")
    large = make_record([make_point(recall=0.98)], data={"gallery_size": 1_000_000})
    assert closing_lines(compose(OWN), [large], Path("x")) == ["results: x"]


@pytest.mark.parametrize(
    ("point", "advice"),
    [
        (
            make_point(recall=0.44),
            "ivf_flat nlist=64 nprobe=8 returned 44% of the exact 100 neighbours; "
            "a larger search.nprobe finds more (search=ladder measures several)",
        ),
        (make_point("hnsw", {"hnsw_m": 32}, {"ef_search": 16}, recall=0.5), "a larger search.ef_search"),
        (make_point("ivf_pq", {"nlist": 8}, {"nprobe": 8}, recall=0.5), "a family that keeps more of each"),
        (make_point("opq", {"nlist": 8}, {"nprobe": 8, "k_factor": 2}, recall=0.5), "larger search.k_factor"),
    ],
)
def test_an_index_far_from_exact_gets_advice_in_words(point: PointRecord, advice: str) -> None:
    record = make_record([point], data={"gallery_size": 100_000})
    assert advice in closing_lines(compose(OWN), [record], Path("x"))[1]
    better = make_record([make_point(recall=0.93)], data={"gallery_size": 100_000})
    assert closing_lines(compose(OWN), [record, better], Path("x")) == ["results: x"]


def test_the_home_of_the_environment_is_found_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_HOME", "/data")
    assert "compare: lookalike mlflow" in closing_lines(compose(), [RECORD], Path("/data/outputs/x"))


def test_servers_are_named_and_no_tracking_is_not() -> None:
    server = compose(["tracking=server", "tracking.uri=http://mlflow.example"])
    assert "compare: http://mlflow.example" in closing_lines(server, [RECORD], Path("x"))
    assert closing_lines(compose(["tracking=none"]), [], Path("x")) == ["results: x"]
