"""Success of each class, and which other classes the first results of its queries come from.

For protocols that judge by class: ``labels``, and ``held_out`` and ``vectors`` with labels. A query counts
when it has a class and at least one image is relevant to it. Memory and time grow with the queries and the
classes, never with their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.intervals import Values
from lookalike.evaluate.measures import Flags
from lookalike.queries.plan import Classes

Numbers = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

NO_CLASS, NOTHING = "(no class)", "(nothing returned)"
"""What a first result is called that has no class, and one that there is not."""


@dataclass(frozen=True)
class NumberedClasses:
    """The classes of the embedded gallery's rows and of the queries, as numbers; −1: in none."""

    names: tuple[str, ...]
    gallery: Numbers
    queries: Numbers

    @classmethod
    def of(cls, classes: Classes, kept: Rows) -> NumberedClasses:
        """Number ``classes``, whose queries are the embedded ones, in order of first appearance.

        ``kept``: of each embedded gallery row, its place in ``classes.gallery``.
        """
        number_of: dict[str | None, int] = {None: -1}
        for name in (*classes.queries, *classes.gallery):
            number_of.setdefault(name, len(number_of) - 1)
        gallery, queries = (
            np.fromiter((number_of[name] for name in side), np.int32, len(side))
            for side in (classes.gallery, classes.queries)
        )
        names = [name for name in number_of if name is not None]
        return cls(tuple(names), gallery[kept], queries)

    def name(self, number: int) -> str:
        """Return what the class of a first result is called."""
        return self.names[number] if number >= 0 else NO_CLASS if number == -1 else NOTHING


@dataclass(frozen=True)
class ClassResults:
    """One value for each class that has queries which count, the worst class first.

    In order: the lowest share of right first results, the most queries, then as the classes are numbered.
    """

    classes: NumberedClasses
    numbers: Rows
    """Of each class listed here, its number in ``classes``."""
    queries: Rows
    gallery: Rows
    """Its images in the gallery."""
    right_first: Rows
    """Queries whose first result is relevant: ``hit_rate@1`` over all of them, as a count."""
    means: dict[str, Values]
    """Measure at a cut-off (``precision@10``) -> mean over the queries of the class."""
    confusions: tuple[Rows, Rows, Rows]
    """Class of the query, class of its first result (−1: none, −2: nothing returned), number of such queries;
    of the queries whose first result is not relevant, the most frequent first.
    """

    @cached_property
    def hit_rate(self) -> Values:
        """Of each class, the share of queries whose first result is relevant."""
        return self.right_first / self.queries

    @cached_property
    def _pairs_of(self) -> tuple[Rows, Rows]:
        """The confusions by class, each class's by count, and where each class's begin and end."""
        order = np.argsort(self.confusions[0], kind="stable")
        return order, np.searchsorted(self.confusions[0][order], np.arange(len(self.classes.names) + 1))

    def confused_with(self, number: int, most: int) -> list[tuple[str, int]]:
        """Return the names of up to ``most`` classes that first results of class ``number`` come from."""
        order, bounds = self._pairs_of
        chosen = order[bounds[number] : min(bounds[number] + most, bounds[number + 1])]
        _, others, counts = self.confusions
        return [(self.classes.name(int(others[at])), int(counts[at])) for at in chosen]


def results_by_class(
    classes: NumberedClasses, first: Rows, right: Flags, relevant: Rows, per_query: dict[str, Values]
) -> ClassResults:
    """Return the results of every class.

    first: int64 (queries,), the gallery row of each query's first result, ignored rows taken out; −1: none.
    right: bool (queries,), whether that is relevant.
    relevant: int64 (queries,), how many gallery rows are relevant.
    per_query: what means are given of: one value a query, not nan where something is relevant.
    """
    counted = (classes.queries >= 0) & (relevant > 0)
    own, total = classes.queries[counted].astype(np.int64), len(classes.names)
    queries = np.bincount(own, minlength=total)
    right_first = np.bincount(own[right[counted]], minlength=total)
    listed = np.flatnonzero(queries)
    worst_first = np.lexsort((listed, -queries[listed], right_first[listed] / queries[listed]))
    numbers = listed[worst_first]
    return ClassResults(
        classes,
        numbers,
        queries[numbers],
        np.bincount(classes.gallery[classes.gallery >= 0], minlength=total)[numbers],
        right_first[numbers],
        {
            name: np.bincount(own, values[counted], minlength=total)[numbers] / queries[numbers]
            for name, values in per_query.items()
        },
        _confusions(own[~right[counted]], _class_of(first[counted & ~right], classes.gallery)),
    )


def _class_of(rows: Rows, gallery: Numbers) -> Rows:
    if not len(gallery):
        return np.full(len(rows), -2)
    return np.where(rows >= 0, gallery[np.maximum(rows, 0)], -2)


def _confusions(own: Rows, other: Rows) -> tuple[Rows, Rows, Rows]:
    width = int(max(own.max(initial=0), other.max(initial=0))) + 3
    pairs, counts = np.unique(own * width + other + 2, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    of, found = np.divmod(pairs[order], width)
    return of, found - 2, counts[order]
