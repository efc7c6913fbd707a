"""What was asked, in which gallery and for what: equal where two runs may be compared, and nowhere else."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from lookalike.datasets.ids import RowNumbers
from lookalike.datasets.sets import VectorSet
from lookalike.queries.digests import Digests, digest, digests_of
from lookalike.queries.plan import Classes, QueryPlan
from lookalike.schemas import CopiesQueries, Queries, VectorsQueries


def vectors(ids: list[str], file: str = "a.npy") -> VectorSet:
    return VectorSet(ids, [np.zeros((len(ids), 2), np.float32)], [file], [f"fingerprint of {file}"])


def plan(**changes: Any) -> QueryPlan:
    queries = changes.pop("ids", ["q0", "q1", "q2"])
    usual: dict[str, Any] = {
        "protocol": "vectors",
        "wording": "{queries} vectors",
        "gallery": vectors(["a", "b", "c"]),
        "queries": vectors(queries),
        "sources": queries,
        "relevant_ids": [("a",), ("b", "c"), ()],
    }
    return QueryPlan(**(usual | changes))


def made(plan: QueryPlan, config: Queries | None = None) -> Digests:
    return digests_of(plan, plan.gallery.ids, config or VectorsQueries())


def test_neither_order_nor_files_nor_how_many_were_wished_for_matter() -> None:
    one = made(plan(queries=vectors(["q0", "q1", "q2"], "one.npy")), VectorsQueries(n=None, seed=0))
    turned = plan(
        gallery=vectors(["c", "a", "b"], "elsewhere.npy"), wording="{queries} of another file"
    ).take([2, 0, 1])
    other = made(turned, VectorsQueries(n=3, seed=7, file="two.npy"))
    for name in ("gallery_ids", "query_ids", "judgements", "relevance"):
        assert getattr(one, name) == getattr(other, name)
    assert one.query_files != other.query_files, "other vectors: nothing for exact neighbours"
    assert one.asked[[2, 0, 1]].tolist() == other.asked.tolist()


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"gallery": vectors(["a", "b", "d"])}, {"gallery_ids"}),
        ({"ids": ["q0", "q1", "q3"]}, {"query_ids", "judgements"}),
        ({"sources": ["q0", "q0", "q2"]}, {"query_ids", "judgements"}),
        ({"edits": ["crop", "crop", "blur"]}, {"query_ids", "judgements"}),
        ({"ignored_ids": [("a",), (), ()]}, {"query_ids", "judgements"}),
        ({"relevant_ids": [("a",), ("b",), ()]}, {"judgements"}),
    ],
)
def test_what_makes_a_run_another_one(changes: dict[str, Any], differs: set[str]) -> None:
    one, other = made(plan()), made(plan(**changes))
    names = ("gallery_ids", "query_ids", "relevance", "judgements")
    assert {name for name in names if getattr(one, name) != getattr(other, name)} == differs


def test_classes_count_on_both_sides_and_a_subset_keeps_the_gallerys() -> None:
    by_class = {"relevant_ids": None, "classes": Classes(["x", "y", None], ["x", "y", "x"])}
    one = made(plan(**by_class))
    part = made(plan(**by_class).take([0, 2]))
    assert (part.relevance, part.gallery_ids) == (one.relevance, one.gallery_ids)
    assert part.query_ids != one.query_ids
    assert part.asked.tolist() == one.asked[[0, 2]].tolist()
    assert part.wanted.tolist() == one.wanted[[0, 2]].tolist()
    assert made(plan(relevant_ids=None, classes=Classes(["x", "x", None], ["x", "y", "x"]))).relevance != (
        one.relevance
    )
    assert made(plan(relevant_ids=None, classes=Classes(["x", "y", None], ["x", "x", "x"]))).judgements != (
        one.judgements
    )


def test_where_nothing_is_judged_there_is_nothing_to_compare() -> None:
    unjudged = made(plan(relevant_ids=None))
    assert unjudged.relevance is None and unjudged.judgements is None


def test_edited_copies_are_others_under_another_seed() -> None:
    copies = plan(edits=["crop"] * 3)
    assert (
        made(copies, CopiesQueries(seed=0)).query_ids
        == made(copies, CopiesQueries(seed=0, n=5)).query_ids
        != made(copies, CopiesQueries(seed=1)).query_ids
    )


def test_row_numbers_are_ids_and_odd_names_are_no_trouble() -> None:
    assert digest(RowNumbers(12)) == digest([str(row) for row in reversed(range(12))])
    assert len(digest(["\udce9", "é", ""])) == 32


def test_a_million_ids_cost_a_reused_run_little() -> None:
    """As a ratio to what the same run does anyway to know its embeddings: hash every id in order."""
    from lookalike.datasets.fingerprints import content_of

    ids = [f"{row // 1000:05}/{row:09}.jpg" for row in range(200_000)]
    started = time.process_time()
    digest(ids)
    between = time.process_time()
    content_of(ids, ids)
    assert between - started < 2 * (time.process_time() - between)
