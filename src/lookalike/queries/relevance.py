"""From what a protocol calls relevant, in ids or by class, to rows of the embedded gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lookalike.errors import QueryError
from lookalike.queries.plan import Classes, QueryPlan

POLICIES = ("relevant", "ignored", "irrelevant")

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NO_SET, NO_QUERY, SEVERAL = -1, -2, -3
"""In place of a set's number: no set holds the group; the query has no set; more than one holds the group."""


class RowSets:
    """A set of gallery rows for each query, made of sets that any number of queries share.

    Memory grows with the rows and the queries, never with their pairs: a class of 100,000 images that
    100,000 queries ask for is held once.

    set_of_query: integers (queries,), the number of each query's set; negative: the empty set.
    sets, members: integers, equally long: set ``sets[i]`` holds the group ``members[i]``; pairs may repeat.
    group_of_row: integers (gallery,): rows of one group are in a set together. None: ``rows`` groups of
        one row each.
    without: pairs of a query and a group that does not count for that query, both int64.
    """

    def __init__(
        self,
        set_of_query: Rows,
        sets: Rows,
        members: Rows,
        rows: int,
        *,
        group_of_row: Rows | None = None,
        without: tuple[Rows, Rows] | None = None,
    ) -> None:
        self._group_of_row = group_of_row
        self._group_sizes = None if group_of_row is None else np.bincount(group_of_row)
        self._groups = max(1, rows if self._group_sizes is None else len(self._group_sizes))
        self._set_of_query = np.where(set_of_query < 0, NO_QUERY, set_of_query).astype(np.int64)
        self._pairs = np.unique(sets * self._groups + members)
        of_pair, members = np.divmod(self._pairs, self._groups)
        self._set_of_group = np.full(self._groups, NO_SET, np.int64)
        self._set_of_group[members] = of_pair
        self._set_of_group[np.bincount(members, minlength=self._groups) > 1] = SEVERAL
        self._without = None
        if without is not None and len(without[0]):
            self._without = np.unique(without[0] * self._groups + without[1])

    def __len__(self) -> int:
        """The number of queries."""
        return len(self._set_of_query)

    @cached_property
    def sizes(self) -> Rows:
        """int64 (queries,): how many rows each query's set has."""
        of_pair, members = np.divmod(self._pairs, self._groups)
        weights = None if self._group_sizes is None else self._group_sizes[members]
        last = int(max(of_pair.max(initial=0), self._set_of_query.max(initial=0)))
        of_set = np.bincount(of_pair, weights, minlength=last + 1).astype(np.int64)
        sizes = np.where(self._set_of_query < 0, 0, of_set[np.maximum(self._set_of_query, 0)])
        if self._without is not None:
            queries, groups = np.divmod(self._without, self._groups)
            counted = _among(self._set_of_query[queries] * self._groups + groups, self._pairs)
            taken_out = 1 if self._group_sizes is None else self._group_sizes[groups]
            sizes -= np.bincount(queries, counted * taken_out, minlength=len(self)).astype(np.int64)
        return sizes

    def hold(self, rows: Rows, first: int = 0) -> Flags:
        """Return which of ``rows`` are in their query's set: bool (n, k), like ``rows``; a −1 never is.

        rows: int64 (n, k), gallery rows of the queries from ``first`` on.
        """
        if not len(self._pairs):
            return np.zeros(rows.shape, bool)
        return self._hold(rows, np.arange(first, first + len(rows))[:, None])

    def hold_pairs(self, queries: Rows, rows: Rows) -> Flags:
        """Return which pairs of a query and a gallery row are members: bool (n,)."""
        return np.zeros(len(rows), bool) if not len(self._pairs) else self._hold(rows, queries)

    def _hold(self, rows: Rows, queries: Rows) -> Flags:
        groups = rows if self._group_of_row is None else self._group_of_row[rows]
        wanted, home = self._set_of_query[queries], self._set_of_group[groups]
        held: Flags = home == wanted
        if (unsure := home == SEVERAL).any():
            wanted = np.broadcast_to(wanted, rows.shape)[unsure]
            held[unsure] = _among(wanted * self._groups + groups[unsure], self._pairs)
        held &= rows >= 0
        if self._without is not None:
            queries = np.broadcast_to(queries, rows.shape)[held]
            held[held] = ~_among(queries * self._groups + groups[held], self._without)
        return held


@dataclass(frozen=True)
class Relevance:
    """Which rows of the embedded gallery are relevant to each query, and which are ignored; none is both."""

    wanted: RowSets
    """What the protocol calls relevant, though some of it may be ignored."""
    junk: RowSets
    """What the protocol ignores: the query itself."""
    junk_pairs: tuple[Rows, Rows]
    """The same as queries and rows, ascending and unique."""
    duplicates: RowSets | None = None
    """Images with the bytes of a wanted one, itself included, where those are ignored as well."""
    judged: bool = True
    """False when the protocol says nothing of relevance; a query may still have none when it does."""

    @classmethod
    def of_rows(
        cls, relevant: Sequence[Sequence[int]], ignored: Sequence[Sequence[int]], gallery_size: int
    ) -> Relevance:
        """Return the relevance that names, for each query, its relevant and its ignored gallery rows."""
        junk_pairs = _pairs(ignored)
        return cls(
            _sets_of(_pairs(relevant), len(relevant), gallery_size),
            _sets_of(junk_pairs, len(ignored), gallery_size),
            junk_pairs,
        )

    @property
    def n_queries(self) -> int:
        """Return the number of queries."""
        return len(self.wanted)

    @cached_property
    def relevant_counts(self) -> Rows:
        """int64 (queries,): how many gallery rows are relevant to each query."""
        queries, rows = self.junk_pairs
        ignored = np.bincount(queries, self.wanted.hold_pairs(queries, rows), minlength=self.n_queries)
        return self.wanted.sizes - ignored.astype(np.int64)

    @cached_property
    def ignored_counts(self) -> Rows:
        """int64 (queries,): how many gallery rows are ignored for each query."""
        if self.duplicates is None:
            return self.junk.sizes
        queries, rows = self.junk_pairs
        wanted, duplicates = (sets.hold_pairs(queries, rows) for sets in (self.wanted, self.duplicates))
        # of the duplicates those that are not wanted are ignored as well, unless they are junk already
        both = np.bincount(queries, wanted.astype(np.int64) - duplicates, minlength=self.n_queries)
        return self.junk.sizes + self.duplicates.sizes - self.wanted.sizes + both.astype(np.int64)

    @property
    def max_ignored(self) -> int:
        """Return how many rows are ignored for one query at most: a search has to ask for as many more."""
        return int(self.ignored_counts.max(initial=0))

    def are_relevant(self, rows: Rows, first: int = 0) -> Flags:
        """Return which of ``rows`` (int64 (n, k), of queries ``first`` and after) are relevant; −1 is not."""
        return self.wanted.hold(rows, first) & ~self.junk.hold(rows, first)

    def are_ignored(self, rows: Rows, first: int = 0) -> Flags:
        """Return which of ``rows`` (int64 (n, k), of queries ``first`` and after) are ignored; −1 is not."""
        ignored = self.junk.hold(rows, first)
        if self.duplicates is not None:
            ignored |= self.duplicates.hold(rows, first) & ~self.wanted.hold(rows, first)
        return ignored


def resolve_relevance(
    plan: QueryPlan,
    gallery_ids: Sequence[str],
    query_ids: Sequence[str],
    duplicate_groups: np.ndarray | None,
    policy: str,
) -> Relevance:
    """Return the plan's relevance for what was really embedded.

    gallery_ids, query_ids: ids of the embedded gallery (its rows) and of the embedded queries, both in the
        plan's order; bad images are missing from them, and drop out of the result.
    duplicate_groups: int64 (len(plan.gallery),), equal for images with the same bytes; None: all differ.
    policy: what gallery images with the same bytes as a relevant one are: ``relevant`` like it, ``ignored``,
        or ``irrelevant``.

    What is both relevant and ignored is ignored. Of a class, the images that are ignored for a query are no
    members: what has the same bytes as them alone is not relevant to that query by that. Raises QueryError
    for another policy.
    """
    if policy not in POLICIES:
        raise QueryError(f"queries.duplicates must be one of {', '.join(POLICIES)}, not {policy}")
    chosen, kept = _places(query_ids, plan.queries.ids), _places(gallery_ids, plan.gallery.ids)
    junk_pairs = _named(plan.ignored_ids, chosen, gallery_ids)
    junk = _sets_of(junk_pairs, len(chosen), len(kept))
    if plan.classes is not None:
        set_of_query, (sets, members) = _numbered(plan.classes, chosen, kept)
    else:
        set_of_query = np.arange(len(chosen), dtype=np.int64)
        sets, members = _named(plan.relevant_ids, chosen, gallery_ids)
    wanted = RowSets(set_of_query, sets, members, len(kept))
    groups = None
    if duplicate_groups is not None and policy != "irrelevant":
        groups = np.unique(duplicate_groups[kept], return_inverse=True)[1].astype(np.int64)
    if groups is None or len(groups) == int(groups.max(initial=-1)) + 1:  # no two images have the same bytes
        return Relevance(wanted, junk, junk_pairs, judged=plan.judged)
    without = None
    if plan.classes is not None:
        without = _groups_of_ignored_alone(junk_pairs, set_of_query, (sets, members), groups)
    with_duplicates = RowSets(
        set_of_query, sets, groups[members], len(kept), group_of_row=groups, without=without
    )
    if policy == "relevant":
        return Relevance(with_duplicates, junk, junk_pairs, judged=plan.judged)
    return Relevance(wanted, junk, junk_pairs, with_duplicates, plan.judged)


def _places(embedded: Sequence[str], planned: Sequence[str]) -> Rows:
    """Return the place among the planned ids of each embedded one."""
    if len(embedded) == len(planned):
        return np.arange(len(planned), dtype=np.int64)
    place_of = {id_: place for place, id_ in enumerate(planned)}
    return np.fromiter((place_of[id_] for id_ in embedded), np.int64, len(embedded))


def _named(
    ids: Sequence[Sequence[str]] | None, chosen: Rows, gallery_ids: Sequence[str]
) -> tuple[Rows, Rows]:
    """Return the pairs of a query and an embedded gallery row that ``ids`` name, ascending and unique."""
    if ids is None:
        return _pairs([])
    named = {id_ for some in ids for id_ in some}
    row_of = {id_: row for row, id_ in enumerate(gallery_ids) if id_ in named}
    return _pairs([row_of[id_] for id_ in ids[query] if id_ in row_of] for query in chosen.tolist())


def _pairs(rows: Iterable[Sequence[int]]) -> tuple[Rows, Rows]:
    """Return lists of rows, one a query, as pairs of query and row, ascending and unique."""
    flat = np.fromiter(
        ((query, row) for query, some in enumerate(rows) for row in some), np.dtype((np.int64, 2))
    )
    queries, found = flat.T
    width = int(found.max(initial=0)) + 1
    queries, found = np.divmod(np.unique(queries * width + found), width)
    return queries, found


def _sets_of(pairs: tuple[Rows, Rows], n_queries: int, gallery_size: int) -> RowSets:
    """Return a set of its own for each query."""
    return RowSets(np.arange(n_queries, dtype=np.int64), *pairs, gallery_size)


def _numbered(classes: Classes, chosen: Rows, kept: Rows) -> tuple[Rows, tuple[Rows, Rows]]:
    """Return each query's class as a number (−1: none), and pairs of a class and an embedded row of it."""
    named = [classes.queries[query] for query in chosen.tolist()]
    number_of = {name: number for number, name in enumerate(dict.fromkeys(named)) if name is not None}
    set_of_query = np.fromiter((number_of.get(name, -1) for name in named), np.int64, len(named))
    of_row = np.fromiter(
        (number_of.get(name, -1) for name in classes.gallery), np.int64, len(classes.gallery)
    )[kept]
    members = np.flatnonzero(of_row >= 0)
    return set_of_query, (of_row[members], members)


def _groups_of_ignored_alone(
    junk_pairs: tuple[Rows, Rows], set_of_query: Rows, classes: tuple[Rows, Rows], groups: Rows
) -> tuple[Rows, Rows]:
    """Return pairs of a query and a group whose only images of the query's class it ignores."""
    sets, members = classes
    width = int(groups.max()) + 1
    in_class, images = np.unique(sets * width + groups[members], return_counts=True)
    queries, rows = junk_pairs
    of_row = np.full(len(groups), -1, np.int64)
    of_row[members] = sets
    own = (of_row[rows] == set_of_query[queries]) & (of_row[rows] >= 0)
    queries, rows = queries[own], rows[own]
    pairs, ignored = np.unique(queries * width + groups[rows], return_counts=True)
    queries, found = np.divmod(pairs, width)
    alone = images[np.searchsorted(in_class, set_of_query[queries] * width + found)] == ignored
    return queries[alone], found[alone]


def _among(values: Rows, ascending: Rows) -> Flags:
    """Return which values are in ``ascending``, which is not empty."""
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[place] == values)
