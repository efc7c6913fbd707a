"""Ids become rows: hand-computed cases, and a plain reference implementation on random ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import QueryError
from lookalike.queries import plan_queries
from lookalike.queries.plan import Classes, QueryPlan
from lookalike.queries.relevance import Relevance, resolve_relevance
from lookalike.schemas import LabelsQueries
from tests.queries.worlds import vectors


def plan(
    relevant: Sequence[Sequence[int]] | None, ignored: Sequence[Sequence[int]] | None = None, n: int = 6
) -> QueryPlan:
    """A gallery v0 … and as many queries q0 … as ``relevant`` or ``ignored`` has."""
    count = len(relevant if relevant is not None else ignored or ())
    queries = replace(vectors(count), ids=[f"q{row}" for row in range(count)])

    def named(rows: Sequence[Sequence[int]] | None) -> list[list[str]] | None:
        return None if rows is None else [[f"v{row}" for row in some] for some in rows]

    return QueryPlan(
        protocol="test",
        wording="",
        gallery=vectors(n),
        queries=queries,
        sources=queries.ids,
        relevant_ids=named(relevant),
        ignored_ids=named(ignored),
    )


def resolved(
    plan: QueryPlan,
    groups: Sequence[int] | None = None,
    policy: str = "relevant",
    without: Sequence[str] = (),
) -> Relevance:
    return resolve_relevance(
        plan,
        [id_ for id_ in plan.gallery.ids if id_ not in without],
        [id_ for id_ in plan.queries.ids if id_ not in without],
        None if groups is None else np.array(groups),
        policy,
    )


def listed(relevance: Relevance, gallery_size: int = 6) -> tuple[list[list[int]], list[list[int]]]:
    """The relevant and the ignored rows of each query, once counted and once asked for row by row."""
    rows = np.tile(np.arange(-1, gallery_size), (relevance.n_queries, 1))
    relevant, ignored = relevance.are_relevant(rows), relevance.are_ignored(rows)
    assert relevant.sum(axis=1).tolist() == relevance.relevant_counts.tolist()
    assert ignored.sum(axis=1).tolist() == relevance.ignored_counts.tolist()
    assert relevance.max_ignored == max(relevance.ignored_counts.tolist(), default=0)
    return tuple(  # type: ignore[return-value]
        [of_query[flags].tolist() for of_query, flags in zip(rows, held, strict=True)]
        for held in (relevant, ignored)
    )


def test_ids_become_ascending_unique_rows() -> None:
    relevance = resolved(plan([[4, 1, 4], [], [0]], [[], [5], [2, 3]]))
    assert listed(relevance) == ([[1, 4], [], [0]], [[], [5], [2, 3]])
    assert relevance.n_queries == 3
    assert relevance.max_ignored == 2


def test_queries_may_be_asked_about_in_blocks() -> None:
    relevance = resolved(plan([[4, 1], [2], [0]], [[], [5], [2, 3]]))
    assert relevance.are_relevant(np.array([[2, 4], [0, 4]]), first=1).tolist() == [
        [True, False],
        [True, False],
    ]
    assert relevance.are_ignored(np.array([[5, 4], [5, 3]]), first=1).tolist() == [
        [True, False],
        [False, True],
    ]


def test_a_bad_image_drops_out_and_moves_the_rows_behind_it() -> None:
    relevance = resolved(plan([[1, 4], [2], [5]], [[0], [3], [4]]), without=["v2", "v3", "q0"])
    assert listed(relevance, 4) == ([[], [3]], [[], [2]])


def test_what_is_both_is_ignored() -> None:
    assert listed(resolved(plan([[1, 2]], [[2, 3]]))) == ([[1]], [[2, 3]])


@pytest.mark.parametrize(
    ("policy", "relevant", "ignored"),
    [
        ("relevant", [[0, 1, 4], [2, 5]], [[], []]),
        ("ignored", [[0], [2]], [[1, 4], [5]]),
        ("irrelevant", [[0], [2]], [[], []]),
    ],
)
def test_duplicates_of_the_relevant(policy: str, relevant: list[list[int]], ignored: list[list[int]]) -> None:
    assert listed(resolved(plan([[0], [2]]), [0, 0, 2, 3, 0, 2], policy)) == (relevant, ignored)


def test_duplicates_that_are_relevant_themselves_stay_so() -> None:
    assert listed(resolved(plan([[0, 1]]), [0, 0, 0, 3, 4, 5], "ignored")) == ([[0, 1]], [[2]])


def test_the_query_itself_stays_ignored_when_a_relevant_image_is_its_duplicate() -> None:
    assert listed(resolved(plan([[1]], [[0]]), [0, 0, 0, 3, 4, 5], "relevant")) == ([[1, 2]], [[0]])


def test_groups_are_those_of_the_planned_gallery_though_some_of_it_is_bad() -> None:
    relevance = resolved(plan([[3]]), [0, 1, 2, 3, 2, 3], "relevant", without=["v0", "v2"])
    assert listed(relevance, 4) == ([[1, 3]], [[]])


def test_a_protocol_without_relevance_judges_nothing() -> None:
    relevance = resolved(plan(None, [[0], [1]]))
    assert not relevance.judged
    assert listed(relevance) == ([[], []], [[0], [1]])
    nothing = resolve_relevance(plan(None, [[], []]), ["v0"], ["q0", "q1"], None, "relevant")
    assert listed(nothing, 1) == ([[], []], [[], []])
    assert nothing.max_ignored == 0
    assert resolved(plan([[], []])).judged


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(
        QueryError, match=r"queries\.duplicates must be one of relevant, ignored, irrelevant, not maybe"
    ):
        resolved(plan([[0]]), policy="maybe")


ROWS = st.lists(st.integers(0, 7), max_size=4)


@given(
    queries=st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=4),
    groups=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    bad=st.sets(st.integers(0, 7), max_size=6),
    policy=st.sampled_from(["relevant", "ignored", "irrelevant"]),
)
def test_it_agrees_with_sets(
    queries: list[tuple[list[int], list[int]]], groups: list[int], bad: set[int], policy: str
) -> None:
    relevance = resolved(
        plan([r for r, _ in queries], [i for _, i in queries], n=8),
        groups,
        policy,
        [f"v{row}" for row in bad],
    )
    kept = [row for row in range(8) if row not in bad]
    expected = [_by_sets(relevant, ignored, groups, kept, policy) for relevant, ignored in queries]
    found = zip(*listed(relevance, len(kept)), strict=True)
    assert [(relevant, ignored) for relevant, ignored in found] == expected


def _by_sets(
    relevant_rows: Sequence[int], ignored_rows: Sequence[int], groups: list[int], kept: list[int], policy: str
) -> tuple[list[int], list[int]]:
    """The definition: what one query's ids and their duplicates are, in rows of what was embedded."""
    relevant, ignored = set(relevant_rows) & set(kept), set(ignored_rows) & set(kept)
    twins = {row for row in kept for other in relevant if groups[row] == groups[other]}
    if policy == "relevant":
        relevant |= twins
    elif policy == "ignored":
        ignored |= twins - relevant
    found = relevant - ignored
    return sorted(kept.index(row) for row in found), sorted(kept.index(row) for row in ignored)


CLASSES = st.lists(st.sampled_from(["cat", "dog", None, "bird"]), min_size=8, max_size=8)


@given(
    gallery=CLASSES,
    asked=CLASSES,
    ignored=st.lists(ROWS, min_size=8, max_size=8),
    groups=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    bad=st.sets(st.integers(0, 7), max_size=6),
    policy=st.sampled_from(["relevant", "ignored", "irrelevant"]),
)
def test_a_class_is_what_its_pairs_would_be(
    gallery: list[str | None],
    asked: list[str | None],
    ignored: list[list[int]],
    groups: list[int],
    bad: set[int],
    policy: str,
) -> None:
    by_class = replace(plan(None, ignored, n=8), classes=Classes(gallery, asked))
    relevance = resolved(by_class, groups, policy, [f"v{row}" for row in bad])
    kept = [row for row in range(8) if row not in bad]
    pairs = [
        [row for row in range(8) if name is not None and gallery[row] == name and row not in junk]
        for name, junk in zip(asked, ignored, strict=True)
    ]
    expected = [_by_sets(*both, groups, kept, policy) for both in zip(pairs, ignored, strict=True)]
    assert list(zip(*listed(relevance, len(kept)), strict=True)) == expected
    assert relevance.judged


def test_a_class_of_many_is_held_once() -> None:
    """40,000 images in a class, half of them of the same bytes: as pairs they would take 12.8 GB."""
    size = 40_000
    config = LabelsQueries(n=None)
    leave_one_out = plan_queries(config, vectors(size, labels=["cat"] * (size - 2) + ["dog"] * 2))
    groups = np.where(np.arange(size) < size // 2, 0, np.arange(size))
    tracemalloc.start()
    try:
        relevance = resolve_relevance(
            leave_one_out, leave_one_out.gallery.ids, leave_one_out.queries.ids, groups, config.duplicates
        )
        assert relevance.relevant_counts.tolist() == [size - 3] * (size - 2) + [1] * 2
        assert relevance.max_ignored == 1
        rows = np.stack([np.arange(size), (np.arange(size) + 1) % size], axis=1)
        assert relevance.are_relevant(rows)[:-3].tolist() == [[False, True]] * (size - 3)
        assert tracemalloc.get_traced_memory()[1] < 1_500 * size
    finally:
        tracemalloc.stop()
