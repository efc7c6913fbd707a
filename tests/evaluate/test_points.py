from __future__ import annotations

import pytest

from lookalike import schemas
from lookalike.evaluate.points import Point, expand_points, point_faults
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.families.ivf_pq_fastscan_refine import IvfPqFastscanRefineIndex

LADDER = {"nprobe": [1, 4, 64]}
IVF = IvfFlatIndex(nlist=64, point={"nprobe": 8}, ladder=LADDER)
REFINED = IvfPqFastscanRefineIndex(
    nlist=64, point={"nprobe": 8, "k_factor": 4}, ladder={"nprobe": [1, 4], "k_factor": [2, 8]}
)


def labels(search: schemas.Search, index: schemas.Index) -> list[str]:
    return [point.label for point in expand_points(search, index)[0]]


def test_a_point_knows_its_settings_by_name() -> None:
    point = Point.of(nprobe=8, k=10, k_factor=2)
    assert point.settings == (("k", 10), ("k_factor", 2), ("nprobe", 8))
    assert point == Point.of(k_factor=2, k=10, nprobe=8)
    assert (point.k, point.label) == (10, "k_factor=2 nprobe=8")
    assert point.as_dict() == {"k": 10, "k_factor": 2, "nprobe": 8}
    assert Point.of(k=10).label == ""


@pytest.mark.parametrize(
    ("search", "index", "expected"),
    [
        (schemas.Search(), FlatIndex(), [""]),
        (schemas.Search(), IVF, ["nprobe=8"]),
        (schemas.Search(), IvfFlatIndex(), ["nprobe=1"]),
        (schemas.Search(nprobe=3), IVF, ["nprobe=3"]),
        (schemas.Search(nprobe=[3, 1, 3]), IVF, ["nprobe=3", "nprobe=1"]),
        (schemas.Search(ladder=True), IVF, ["nprobe=1", "nprobe=4", "nprobe=64"]),
        (schemas.Search(ladder=True, nprobe=5), IVF, ["nprobe=5"]),
        (schemas.Search(ladder=True), FlatIndex(), [""]),
        (schemas.Search(nprobe=[1, 2]), REFINED, ["k_factor=4 nprobe=1", "k_factor=4 nprobe=2"]),
        (
            schemas.Search(ladder=True),
            REFINED,
            ["k_factor=2 nprobe=1", "k_factor=8 nprobe=1", "k_factor=2 nprobe=4", "k_factor=8 nprobe=4"],
        ),
        (
            schemas.Search(ladder=True, nprobe=2),
            REFINED,
            ["k_factor=2 nprobe=2", "k_factor=8 nprobe=2"],
        ),
    ],
)
def test_points(search: schemas.Search, index: schemas.Index, expected: list[str]) -> None:
    points, notices = expand_points(search, index)
    assert [point.label for point in points] == expected
    assert {point.k for point in points} == {100}
    assert notices == []


def test_only_a_setting_that_the_user_gave_is_missed() -> None:
    points, notices = expand_points(schemas.Search(nprobe=[1, 8], ladder=True), FlatIndex(ladder=LADDER))
    assert points == [Point.of(k=100)]
    assert notices == ["search.nprobe is left out: index=flat has no such setting"]


def test_ladder_steps_beyond_nlist_are_dropped_with_a_notice() -> None:
    index = IvfFlatIndex(nlist=5, point={"nprobe": 8}, ladder=LADDER)
    points, notices = expand_points(schemas.Search(ladder=True), index)
    assert [point.label for point in points] == ["nprobe=1", "nprobe=4"]
    assert notices == ["the ladder goes without nprobe=64: index.nlist is 5"]


def test_the_default_point_is_lowered_to_nlist_with_a_notice() -> None:
    index = FactoryIndex(factory="IVF5,Flat", point={"nprobe": 8, "ef_search": 64})
    points, notices = expand_points(schemas.Search(), index)
    assert points == [Point.of(k=100, nprobe=5)]
    assert notices == ["nprobe is 5 instead of 8: index.nlist is 5"]


def test_what_the_user_asks_for_is_impossible_beyond_nlist() -> None:
    index = IvfFlatIndex(nlist=256)
    (inside, beyond), notices = expand_points(schemas.Search(nprobe=[256, 512]), index)
    assert notices == []
    assert point_faults(inside, index) == []
    assert point_faults(beyond, index) == [
        "search.nprobe=512 exceeds index.nlist=256; lower nprobe or raise nlist"
    ]


def test_k_beyond_the_gallery() -> None:
    flat = FlatIndex()
    assert point_faults(Point.of(k=100), flat) == []
    assert point_faults(Point.of(k=100), flat, 100) == []
    (fault,) = point_faults(Point.of(k=101), flat, 100)
    assert fault == "search.k=101 exceeds the gallery's 100 images; lower k or take more images"
