"""What depends on the gallery's size: chosen by a pure function, before any key is made."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from lookalike import schemas
from lookalike.config.composing import compose
from lookalike.config.planning import find_faults
from lookalike.evaluate.points import Point, expand_points
from lookalike.index.families.inverted_lists import POINTS_PER_LIST, lists_for
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.runs.naming import point_id, point_label
from lookalike.runs.resolving import Resolved, neighbours_for, resolve
from lookalike.schemas import Experiment

SIZES = (60, 317, 5_000, 100_000, 1_000_000)
FOLDER = ("model=pixels", "dataset=folder", "dataset.root=photos")


def resolved(rows: int, *overrides: str, base: tuple[str, ...] = FOLDER) -> Resolved:
    return resolve(compose([*base, *overrides]), rows)


def labels(experiment: Experiment) -> list[str]:
    points, _ = expand_points(experiment.search, experiment.index)
    return [point_label(experiment.index, point) for point in points]


@pytest.mark.parametrize(
    ("rows", "label", "k", "n", "said"),
    [
        (60, "flat", 10, None, "60 images need no index: exact search takes less than 1 ms a query"),
        (317, "flat", 20, 200, "317 images need no index: exact search takes less than 1 ms a query"),
        (5_000, "flat", 100, 200, "5,000 images need no index: exact search takes less than 1 ms a query"),
        (100_000, "ivf_flat nlist=1024 nprobe=64", 100, 200, "index=flat is exact, at about 20 ms a query"),
        (
            1_000_000,
            "ivf_flat nlist=4096 nprobe=256",
            100,
            200,
            "index=flat is exact, at about 200 ms a query",
        ),
    ],
)
def test_a_first_run_is_sensible_at_any_size(rows: int, label: str, k: int, n: int | None, said: str) -> None:
    experiment = resolved(rows)
    assert (labels(experiment), experiment.search.k, experiment.queries.n) == ([label], k, n)
    assert said in experiment.choices[0]
    assert all("\n" not in choice for choice in experiment.choices)
    assert any("search.k is" in choice for choice in experiment.choices) == (k < 100)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("family", ["ivf_flat", "ivf_sq8", "ivf_pq", "ivf_pq_fastscan_refine", "ivf_rabitq"])
def test_lists_suit_the_gallery(family: str, rows: int) -> None:
    """As FAISS advises: about 4·√N of them, each with enough vectors to train it on."""
    experiment = resolved(rows, f"index={family}", "search=ladder")
    nlist = experiment.index.list_count()
    assert nlist is not None
    assert nlist & (nlist - 1) == 0
    assert nlist * POINTS_PER_LIST <= rows or nlist == 1
    assert nlist <= 6 * rows**0.5
    assert nlist > rows**0.5 or nlist * 2 * POINTS_PER_LIST > rows
    points = [point.as_dict() for point in expand_points(experiment.search, experiment.index)[0]]
    assert min(point["nprobe"] for point in points) == 1
    assert nlist / 4 <= max(point["nprobe"] for point in points) <= nlist
    assert len({point["nprobe"] for point in points}) <= 10


def test_many_lists_are_not_trained_for_minutes() -> None:
    assert resolved(1_000_000).index.train_size == 2**18
    assert resolved(100_000).index.train_size is None


def test_the_emoji_are_put_into_an_index_to_show_one() -> None:
    experiment = resolved(4_009, base=("model=pixels",))
    assert labels(experiment) == ["ivf_flat nlist=64 nprobe=8"]
    assert (
        experiment.choices[0] == "index=ivf_flat shows an index; 4,009 emoji need none (index=flat is exact)"
    )
    assert labels(resolved(50, base=("model=pixels",))) == ["ivf_flat nlist=1 nprobe=1"]


@pytest.mark.parametrize(
    ("open_", "named"),
    [
        ([], ["index=ivf_flat", "index.nlist=64", "search.nprobe=8", "search.k=100", "queries.n=200"]),
        (["index=ivf_flat"], ["index=ivf_flat", "index.nlist=64", "search.k=100", "index.point.nprobe=8"]),
        (["index=hnsw"], ["index=hnsw", "index.point.ef_search=128"]),
        (["queries=held_out"], ["queries=held_out", "queries.n=1000"]),
    ],
)
def test_what_is_left_open_has_the_key_of_what_it_becomes(open_: list[str], named: list[str]) -> None:
    """Of the emoji: the very values that were the defaults before N decided."""
    one, other = (resolved(4_009, *overrides, base=("model=pixels",)) for overrides in (open_, named))
    keys = [[point_id(e, point) for point in expand_points(e.search, e.index)[0]] for e in (one, other)]
    assert keys[0] == keys[1]


def test_the_defaults_of_the_emoji_make_the_point_id_of_0_1_0() -> None:
    experiment = resolved(4_009, base=())
    old = replace(
        compose([]),
        index=IvfFlatIndex(nlist=64, point={"nprobe": 8}),
        search=schemas.Search(k=100),
        queries=schemas.CopiesQueries(n=200),
    )
    [point] = expand_points(experiment.search, experiment.index)[0]
    assert point_id(experiment, point) == point_id(old, Point.of(k=100, nprobe=8))
    assert experiment.index.point == {"nprobe": 8}  # part of the key of serving memory
    [ladder] = [resolved(4_009, "search=ladder", base=()).index.ladder]
    assert ladder == {"nprobe": [1, 2, 4, 8, 16, 32, 64]}


def test_what_is_named_stays_as_it_is_possible_or_not() -> None:
    experiment = resolved(60, "index=ivf_flat", "index.nlist=64", "search.k=100", "queries.n=500")
    assert (experiment.index.list_count(), experiment.search.k, experiment.queries.n) == (64, 100, 500)
    experiment = resolved(1_000_000, "index=hnsw", "search.k=500")
    assert experiment.index.point["ef_search"] == 512, "above k"


def test_a_number_of_lists_chooses_an_index_that_has_them() -> None:
    assert labels(resolved(317, "index.nlist=16", "search.nprobe=[1,4]")) == [
        "ivf_flat nlist=16 nprobe=1",
        "ivf_flat nlist=16 nprobe=4",
    ]


def test_what_all_families_have_goes_to_the_one_that_is_chosen() -> None:
    for rows in (60, 100_000):
        index = resolved(rows, "index.metric=ip", "index.mmap=true").index
        assert (index.metric, index.mmap) == ("ip", True)


def test_a_setting_of_another_family_is_left_out_with_a_notice() -> None:
    experiment = resolved(60, "search.nprobe=8")
    points, notices = expand_points(experiment.search, experiment.index)
    assert points == [Point.of(k=10)]
    assert notices == ["search.nprobe is left out: index=flat has no such setting"]


def test_both_what_was_composed_and_what_it_became_are_kept() -> None:
    config = asdict(resolved(60))
    assert (config["index"]["family"], config["search"]["k"]) == ("flat", 10)
    assert config["composed"] == {
        "index.family": "auto",
        "index.nlist": None,
        "index.point": {"nprobe": None},
        "index.ladder": {"nprobe": None},
        "search.k": None,
        "queries.n": "auto",
    }
    assert (config["rows"], config["gallery_size"], len(config["choices"])) == (60, 60, 3)


def test_the_experiment_itself_is_not_changed_and_twice_is_once() -> None:
    composed = compose([*FOLDER, "index=ivf_flat"])
    before = asdict(composed)
    experiment = resolve(composed, 60)
    assert asdict(composed) == before
    assert resolve(experiment, 9) is experiment


@pytest.mark.parametrize(
    ("rows", "k"), [(2, 1), (3, 1), (9, 2), (20, 10), (100, 10), (999, 50), (1_000, 100)]
)
def test_k_is_round_and_leaves_something_to_be_missed(rows: int, k: int) -> None:
    assert neighbours_for(rows, schemas.Measures().cutoffs) == k


def test_k_reaches_cutoffs_that_were_named() -> None:
    assert resolved(60, "measures.cutoffs=[1,50]").search.k == 50
    assert resolved(60, "measures.cutoffs=[1,500]").search.k == 60


@pytest.mark.parametrize("rows", [2, 3, 9, 60, 317, *SIZES])
@pytest.mark.parametrize("queries", ["copies", "held_out", "in_gallery", "labels"])
def test_queries_leave_a_gallery_and_k_neighbours_in_it(queries: str, rows: int) -> None:
    experiment = resolved(rows, f"queries={queries}", "dataset.labels=folder")
    left_out = queries in ("in_gallery", "labels")
    assert 1 <= experiment.search.k <= experiment.gallery_size - left_out
    if queries == "held_out":
        assert experiment.queries.n == min(1000, max(rows // 4, 1))
        assert experiment.gallery_size == rows - experiment.queries.n


def test_what_embeds_shards_alone_chooses_nothing_that_matters() -> None:
    assert resolved(60, "dataset.shards=[0]").choices == []


@pytest.mark.parametrize("n", [0, 1, 2, 38, 39, 78, 10**7])
def test_there_is_always_a_list(n: int) -> None:
    assert lists_for(n) >= 1
    assert lists_for(n, sample=39) == 1


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["index.nlist=64"], "index.nlist needs 64 centroids and the gallery has 60 vectors; lower nlist"),
        (["search.k=100"], "search.k=100 exceeds the gallery's 60 images; lower k"),
        (["index.nlist=8", "search.nprobe=9"], "search.nprobe=9 exceeds index.nlist=8; lower nprobe"),
        (["queries=held_out", "queries.n=60"], "queries.n=60 leaves no gallery of 60 rows; lower it"),
    ],
)
def test_what_is_named_is_checked_strictly(overrides: list[str], fault: str) -> None:
    vectors: dict[str, Any] = {"base": ("dataset=synthetic", "dataset.n=60", "queries=in_gallery")}
    found = find_faults(compose([*vectors["base"], *overrides]))
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_one_image_and_one_query_are_said_as_such() -> None:
    choices = resolved(2, "queries=held_out").choices
    assert choices[0].startswith("1 image needs no index")
    assert choices[-1] == "queries.n is 1: so many of 2 images are held out of the gallery"
