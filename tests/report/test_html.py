"""The self-contained page: what it holds, what it keeps apart, and that nothing in it can break out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.report.html import make_report, write_report
from lookalike.report.samples import answers_of, distribution, exact_answers_of
from lookalike.report.values import unknown_names
from lookalike.runs.catalog import Run
from lookalike.runs.record import Record
from lookalike.schemas import Search
from tests.pipeline.conftest import RunOf, pictures, run_of  # noqa: F401 — a small real run
from tests.records import make_by_class, make_ladder, make_point, make_record, make_sweep
from tests.report.raw import save_sweep

EVIL = "</script><script>alert(1)</script><!--data--><img src=x onerror=alert(2)>\u2028"


class Tags(HTMLParser):
    """Every element with its attributes, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(folder: Path, runs: Sequence[Run], title: str = "six points", **more: Any) -> str:
    return write_report(make_report(runs, title), folder / "report.html", **more).read_text(encoding="utf-8")


def payload_of(page: str) -> dict[str, Any]:
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    payload: dict[str, Any] = json.loads(data[1])
    return payload


@pytest.fixture
def sweep(tmp_path: Path) -> list[Run]:
    return save_sweep(tmp_path, make_sweep())


def test_the_page_needs_nothing_but_itself(tmp_path: Path, sweep: list[Run]) -> None:
    page = page_of(tmp_path, sweep)
    tags = Tags(page).found
    assert [name for name, _ in tags].count("script") == 3 and not [tag for tag in tags if tag[0] == "link"]
    assert not [attributes for _, attributes in tags if {"src", "href"} & set(attributes)]
    policy = next(attributes["content"] for _, attributes in tags if "http-equiv" in attributes)
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "MIT licen" in page and "Plotly, Inc." in page


def test_fifty_runs_of_eight_points_fit_into_five_megabytes(tmp_path: Path) -> None:
    records = [
        make_record(
            make_ladder("ivf_flat", "nprobe", [1, 2, 4, 8, 16, 32, 64, 128], slowness=1 + number / 10),
            started=f"2026-11-22T12:{number:02}:00+00:00",
            overrides=[f"index.nlist={number}"],
        )
        for number in range(50)
    ]
    for number, record in enumerate(records):
        for point in record.points:
            point.trial_key += str(number)
            point.by_edit = {f"edit {n}": point.curves for n in range(7)}  # type: ignore[misc]
            point.by_class = make_by_class(*(f"a class of some length {n}" for n in range(20)))
    page = page_of(tmp_path, save_sweep(tmp_path, records))
    assert len(payload_of(page)["points"]) == 400
    assert len(page.encode()) < 5_000_000


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    by_class = make_by_class(EVIL)
    point = make_point(label=EVIL, by_edit={EVIL: {"hit_rate": {"1": 0.5}}}, by_class=by_class)
    record = make_record([point], name=EVIL, overrides=[EVIL], status="failed", error=EVIL)
    record.data["dataset"] = record.environment["cpu"] = EVIL
    page = page_of(tmp_path, save_sweep(tmp_path, [record]), title=EVIL)
    harmless = page_of(tmp_path, save_sweep(tmp_path, make_sweep()))
    assert [name for name, _ in Tags(page).found] == [name for name, _ in Tags(harmless).found]
    assert payload_of(page)["points"][0]["label"] == EVIL
    assert payload_of(page)["title"] == EVIL


def test_a_measure_that_leaves_queries_out_says_how_many(tmp_path: Path) -> None:
    counts = {"queries": 1000, "without_relevance": 100, "relevant_beyond_k": 250}
    page = page_of(tmp_path, save_sweep(tmp_path, [make_record([make_point(counts=counts)])]))
    uncounted = payload_of(page)["points"][0]["uncounted"]
    assert uncounted["r_precision"] == uncounted["map_at_r"] == [650, 1000]
    assert uncounted["ndcg"] == [900, 1000] and "knn_recall" not in uncounted


def sets_of(page: str, scope: str) -> list[list[str]]:
    payload = payload_of(page)
    return [[payload["points"][n]["model"] for n in each["points"]] for each in payload["sets"][scope]]


def test_models_are_apart_for_exact_neighbours_and_together_for_relevance(tmp_path: Path) -> None:
    other = make_record(model={"name": "pixels"})
    other.data = other.data | {"gallery_key": "other vectors", "dim": 768}
    page = page_of(tmp_path, save_sweep(tmp_path, [make_record(), other]))
    assert sorted(sets_of(page, "exact")) == [["efficientnet_lite0"], ["pixels"]]
    assert sets_of(page, "relevance") == [["efficientnet_lite0", "pixels"]]
    assert {each["apart"] for each in payload_of(page)["sets"]["exact"]} == {
        "efficientnet_lite0",
        "pixels",
    }


def with_data(**changes: Any) -> Record:
    record = make_record()
    record.data = record.data | changes
    return record


@pytest.mark.parametrize(
    "other",
    [
        make_record(environment={"cpu": "another CPU", "cores": 2}),
        with_data(gallery_size=100),
        with_data(protocol_description="100 originals × 7 edits"),
        make_record([make_point(k=10)]),
        make_record([make_point(latency={"single": {"threads": 8}})]),
        make_record(
            [make_point(trial_key="another seed")], config={"dataset": {"name": "twemoji", "seed": 1}}
        ),
    ],
    ids=["machine", "gallery", "protocol", "k", "threads", "sample"],
)
def test_unequal_terms_are_set_apart_whatever_the_measure(tmp_path: Path, other: Record) -> None:
    page = page_of(tmp_path, save_sweep(tmp_path, [make_record(), other]))
    assert len(sets_of(page, "relevance")) == 2
    assert all(each["apart"] for each in payload_of(page)["sets"]["relevance"])


def test_distributions_come_from_the_raw_samples(tmp_path: Path, sweep: list[Run]) -> None:
    payload = payload_of(page_of(tmp_path, sweep))
    quantiles = payload["points"][0]["ecdf"]["single"]
    assert quantiles == sorted(quantiles) and len(quantiles) == len(payload["probabilities"])
    median = payload["points"][0]["metrics"]["latency_single_p50_ms"]
    assert quantiles[50] == pytest.approx(median, rel=0.05)
    low, high = payload["points"][0]["intervals"]["latency_single_p50_ms"]
    assert low < median < high


def test_records_without_their_samples_are_reported_as_far_as_they_go(tmp_path: Path) -> None:
    payload = payload_of(page_of(tmp_path, [Run(record, None) for record in make_sweep()], root=tmp_path))
    assert len(payload["points"]) == 6 and payload["points"][0]["ecdf"] == {}
    assert payload["losses"]["pages"] == []
    assert "not beside its record" in payload["losses"]["notes"][0]
    assert "flatters" in payload["advice"][0]["lines"][0]


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100])
def test_damaged_samples_cost_what_they_held_and_not_the_report(tmp_path: Path, content: bytes) -> None:
    """A power cut left a file empty that a record names."""
    runs = save_sweep(tmp_path, make_sweep())
    damaged = runs[0].folder / runs[0].record.points[0].neighbours  # type: ignore[operator]
    damaged.write_bytes(content)
    payload = payload_of(page_of(tmp_path, runs, root=tmp_path))
    assert len(payload["points"]) == 6
    assert [bool(point["ecdf"]) for point in payload["points"]].count(False) == 1


def test_a_failed_run_is_told_of(tmp_path: Path) -> None:
    failed = make_record([], status="failed", error="the disk is full")
    payload = payload_of(page_of(tmp_path, save_sweep(tmp_path, [failed])))
    assert payload["points"] == [] and payload["runs"][0]["error"] == "the disk is full"


def test_a_folder_that_cannot_be_written_is_a_users_error(tmp_path: Path, sweep: list[Run]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(make_report(sweep, "t"), tmp_path / "file" / "report.html")


def test_what_was_lost_is_shown_with_its_images(tmp_path: Path, run_of: RunOf) -> None:  # noqa: F811
    record = run_of()
    run = Run(record, tmp_path / "outputs/1")
    payload = payload_of(page_of(tmp_path, [run], root=tmp_path))
    [lost] = payload["losses"]["pages"]
    first = lost["queries"][0]
    assert lost["recall"] == pytest.approx(record.points[0].curve("knn_recall")[10])
    assert [query["recall"] for query in lost["queries"]] == sorted(q["recall"] for q in lost["queries"])
    assert {query["edit"] for query in lost["queries"]} <= set(record.config["queries"]["edits"])
    assert any(tile["lost"] for tile in first["exact"]) and any(tile["lost"] for tile in first["found"])
    assert payload["losses"]["images"][first["query"]["image"]].startswith("data:image/webp;base64,")


def test_the_page_says_what_a_loss_of_the_exact_answer_costs(tmp_path: Path, run_of: RunOf) -> None:  # noqa: F811
    record = run_of(search=Search(k=10, nprobe=[1, 8], warm_up=1, repeats=1))
    run = Run(record, tmp_path / "outputs" / "1")
    [(advice, _)] = make_report([run], "costs").advice
    lossy = min(record.points, key=lambda point: point.curve("knn_recall")[10])
    [cost] = [cost for cost in advice.relevance_costs if cost.row.point is lossy]
    exact = record.data["exact_answer"]["curves"]["hit_rate"]["1"]
    assert cost.name == "hit_rate@1"
    assert cost.fall.mean == pytest.approx(exact - lossy.curve("hit_rate")[1])
    [told] = payload_of(page_of(tmp_path, [run]))["advice"][0]["relevance_costs"]
    assert told["label"] == lossy.label and told["change"] == pytest.approx(-cost.fall.mean, abs=1e-5)

    (run.folder / record.data["exact_answer"]["values"]).write_bytes(b"damaged")
    assert exact_answers_of(run.folder, record, "hit_rate", 1) is None
    assert payload_of(page_of(tmp_path, [run]))["advice"][0]["relevance_costs"] == []


def test_a_run_keeps_what_its_queries_scored_and_where_they_come_from(
    tmp_path: Path,
    run_of: RunOf,  # noqa: F811
) -> None:
    record = run_of()
    [point] = record.points
    for measure in ("knn_recall", "hit_rate"):
        for k in (1, 10):
            answers = answers_of(tmp_path / "outputs/1", point, measure, k)
            assert answers is not None
            assert answers.values.mean() == pytest.approx(point.curve(measure)[k], abs=1e-6)
            assert len(set(answers.sources)) == 5 and len(answers.sources) == 35
    assert answers_of(tmp_path / "outputs/1", point, "knn_recall", 5) is None


def test_every_value_of_a_run_may_be_a_column(run_of: RunOf) -> None:  # noqa: F811
    """Also in a config, before the run: what is known of names there is a list of its own."""
    [point] = run_of().points
    assert unknown_names([*point.metrics, *point.curves, *point.settings, *point.index_settings]) == []


def test_looking_never_embeds_again(tmp_path: Path, pictures: Path, run_of: RunOf) -> None:  # noqa: F811
    record = run_of()
    (pictures / "cats/001.png").write_bytes((pictures / "cats/003.png").read_bytes())
    before = {path for path in (tmp_path / "store").rglob("*") if path.is_file()}
    payload = payload_of(page_of(tmp_path, [Run(record, tmp_path / "outputs/1")], root=tmp_path))
    assert payload["losses"]["pages"] == []
    assert "the images have changed since" in payload["losses"]["notes"][0]
    assert set((tmp_path / "store").rglob("*.npy")) == {p for p in before if p.suffix == ".npy"}


def test_a_distribution_has_a_tail_from_a_thousand_samples_on() -> None:
    assert len(distribution(np.arange(50.0))) == 100
    assert len(distribution(np.arange(1000.0))) == 103
