"""From ids that a protocol calls relevant to rows of the embedded gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.errors import QueryError
from lookalike.queries.plan import QueryPlan

POLICIES = ("relevant", "ignored", "irrelevant")
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Relevance:
    """Rows of the embedded gallery, in CSR form: query i's are ``rows[indptr[i]:indptr[i + 1]]``.

    Ascending and unique within a query; no row is both relevant and ignored. All arrays are int64.
    """

    relevant_indptr: np.ndarray
    relevant_rows: np.ndarray
    ignored_indptr: np.ndarray
    ignored_rows: np.ndarray
    judged: bool = True
    """False when the protocol says nothing of relevance; a query may still have none when it does."""

    @property
    def n_queries(self) -> int:
        """Return the number of queries."""
        return len(self.relevant_indptr) - 1

    @property
    def max_ignored(self) -> int:
        """Return how many rows are ignored for one query at most: a search has to ask for as many more."""
        return int(np.diff(self.ignored_indptr).max(initial=0))

    def relevant(self, query: int) -> np.ndarray:
        """Return the rows that count as found for ``query``."""
        return self.relevant_rows[self.relevant_indptr[query] : self.relevant_indptr[query + 1]]

    def ignored(self, query: int) -> np.ndarray:
        """Return the rows that are dropped from what was found for ``query``."""
        return self.ignored_rows[self.ignored_indptr[query] : self.ignored_indptr[query + 1]]


def resolve_relevance(
    plan: QueryPlan,
    gallery_ids: Sequence[str],
    query_ids: Sequence[str],
    duplicate_groups: np.ndarray | None,
    policy: str,
) -> Relevance:
    """Return the plan's relevance for what was really embedded.

    gallery_ids, query_ids: ids of the embedded gallery (its rows) and of the embedded queries (the result's
        order); bad images are missing from them, and drop out of the result.
    duplicate_groups: int64 (len(plan.gallery),), equal for images with the same bytes; None: all differ.
    policy: what gallery images with the same bytes as a relevant one are: ``relevant`` like it, ``ignored``,
        or ``irrelevant``.

    An id that is both relevant and ignored is ignored. Raises QueryError for another policy.
    """
    if policy not in POLICIES:
        raise QueryError(f"queries.duplicates={policy} is not known; choose {', '.join(POLICIES)}")
    judged, width = plan.relevant_ids is not None, len(gallery_ids)
    if not judged and plan.ignored_ids is None:
        return Relevance(*_csr(_NONE, len(query_ids), width), *_csr(_NONE, len(query_ids), width), judged)
    query_row = {id_: row for row, id_ in enumerate(plan.queries.ids)}
    chosen = [query_row[id_] for id_ in query_ids]
    named = {id_ for ids in (plan.relevant_ids, plan.ignored_ids) for some in ids or () for id_ in some}
    gallery_row = {id_: row for row, id_ in enumerate(gallery_ids) if id_ in named}
    relevant = _codes(plan.relevant_ids, chosen, gallery_row, width)
    ignored = _codes(plan.ignored_ids, chosen, gallery_row, width)
    if duplicate_groups is not None and policy != "irrelevant":
        twins = _twins(relevant, _of_embedded(duplicate_groups, plan, gallery_ids))
        if policy == "relevant":
            relevant = np.union1d(relevant, twins)
        else:
            ignored = np.union1d(ignored, np.setdiff1d(twins, relevant))
    relevant = np.setdiff1d(relevant, ignored, assume_unique=True)
    return Relevance(*_csr(relevant, len(query_ids), width), *_csr(ignored, len(query_ids), width), judged)


def _codes(
    ids: Sequence[Sequence[str]] | None, queries: Sequence[int], gallery_row: Mapping[str, int], width: int
) -> np.ndarray:
    """Return each pair of query and gallery row as one number, query × ``width`` + row, ascending."""
    if ids is None:
        return _NONE
    codes = [
        place * width + gallery_row[id_]
        for place, query in enumerate(queries)
        for id_ in ids[query]
        if id_ in gallery_row
    ]
    return np.unique(np.array(codes, dtype=np.int64))


def _of_embedded(groups: np.ndarray, plan: QueryPlan, gallery_ids: Sequence[str]) -> np.ndarray:
    """Return the duplicate groups of the gallery images that were embedded."""
    if len(gallery_ids) == len(groups):
        return groups
    planned_row = {id_: row for row, id_ in enumerate(plan.gallery.ids)}
    return groups[[planned_row[id_] for id_ in gallery_ids]]


def _twins(codes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the codes of all rows in the same group as a coded row, itself included if it is not alone."""
    queries, rows = np.divmod(codes, max(len(groups), 1))
    members = np.argsort(groups, kind="stable")
    ordered = groups[members]
    first = np.searchsorted(ordered, groups[rows], side="left")
    count = np.searchsorted(ordered, groups[rows], side="right") - first
    count[count == 1] = 0
    offsets = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    twins: np.ndarray = np.repeat(queries, count) * len(groups) + members[np.repeat(first, count) + offsets]
    return np.unique(twins)


def _csr(codes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``indptr`` and ``rows`` of ascending codes."""
    indptr = np.searchsorted(codes, np.arange(height + 1, dtype=np.int64) * width)
    return indptr.astype(np.int64), codes % max(width, 1)
