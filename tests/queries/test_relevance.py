"""Ids become rows: hand-computed cases, and a plain reference implementation on random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import QueryError
from lookalike.queries import QueryPlan, Relevance, resolve_relevance
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
        description="",
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


def listed(relevance: Relevance) -> tuple[list[list[int]], list[list[int]]]:
    queries = range(relevance.n_queries)
    return [relevance.relevant(q).tolist() for q in queries], [relevance.ignored(q).tolist() for q in queries]


def test_ids_become_ascending_unique_rows() -> None:
    relevance = resolved(plan([[4, 1, 4], [], [0]], [[], [5], [2, 3]]))
    assert relevance.relevant_indptr.tolist() == [0, 2, 2, 3]
    assert relevance.relevant_rows.tolist() == [1, 4, 0]
    assert relevance.ignored_indptr.tolist() == [0, 0, 1, 3]
    assert relevance.ignored_rows.tolist() == [5, 2, 3]
    assert relevance.n_queries == 3
    assert relevance.max_ignored == 2
    assert {array.dtype for array in vars(relevance).values() if isinstance(array, np.ndarray)} == {
        np.dtype(np.int64)
    }


def test_a_bad_image_drops_out_and_moves_the_rows_behind_it() -> None:
    relevance = resolved(plan([[1, 4], [2], [5]], [[0], [3], [4]]), without=["v2", "v3", "q0"])
    assert listed(relevance) == ([[], [3]], [[], [2]])


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
    assert listed(relevance) == ([[1, 3]], [[]])


def test_a_protocol_without_relevance_judges_nothing() -> None:
    relevance = resolved(plan(None, [[0], [1]]))
    assert not relevance.judged
    assert listed(relevance) == ([[], []], [[0], [1]])
    nothing = resolve_relevance(plan(None, None), ["v0"], ["q0", "q1"], None, "relevant")
    assert listed(nothing) == ([[], []], [[], []])
    assert nothing.max_ignored == 0
    assert resolved(plan([[], []])).judged


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(QueryError, match=r"queries.duplicates=maybe is not known; choose relevant, ignored"):
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
    for query, (relevant_rows, ignored_rows) in enumerate(queries):
        relevant, ignored = set(relevant_rows) & set(kept), set(ignored_rows) & set(kept)
        twins = {row for row in kept for other in relevant if groups[row] == groups[other]}
        if policy == "relevant":
            relevant |= twins
        elif policy == "ignored":
            ignored |= twins - relevant
        assert relevance.ignored(query).tolist() == sorted(kept.index(row) for row in ignored)
        assert relevance.relevant(query).tolist() == sorted(kept.index(row) for row in relevant - ignored)
