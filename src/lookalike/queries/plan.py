"""What a query protocol decides: what is searched for, where, and what counts as found."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lookalike import schemas
from lookalike.datasets.ids import nested_sample
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.errors import QueryError

FEWEST_CLASSES = 10
"""Of so many on, queries of one class count as alike."""


@dataclass(frozen=True)
class Classes:
    """Relevance by class: to a query, all gallery images of its class, but those that are ignored for it.

    Kept as the class of each image and query: as pairs, a million images in ten classes would be 10¹¹.
    """

    gallery: Sequence[str | None]
    """The class of each gallery row; None: it is in no class."""
    queries: Sequence[str | None]
    """The class of each query; None: nothing is relevant to it."""


@dataclass(frozen=True)
class QueryPlan:
    """Queries against a gallery; everything "per query" is in the order of ``queries``."""

    protocol: str
    wording: str
    """What a table's caption says of the queries: ``{queries}`` and ``{sources}`` stand for how many,
    ``{all}`` for queries and gallery together; see :meth:`describe`.
    """
    gallery: ImageSet | VectorSet
    queries: ImageSet | TextSet | VectorSet
    sources: Sequence[str]
    """Per query, what it was made of: edited copies of one image have one source. See :attr:`clusters`."""
    edits: Sequence[str] | None = None
    """Per query, the stratum that results are also given for."""
    relevant_ids: Sequence[Sequence[str]] | None = None
    """Per query, the gallery ids to be found, without their duplicates; None: not given by ids."""
    classes: Classes | None = None
    """What is to be found where it is a whole class; None: relevance is not given by class.

    At most one of ``relevant_ids`` and ``classes`` is set.
    """
    ignored_ids: Sequence[Sequence[str]] | None = None
    """Per query, the gallery ids that neither help nor harm: the query itself."""
    ready_neighbours: np.ndarray | None = None
    """Integers, shape (queries, k): gallery rows, nearest first, −1 for none."""
    ready_distances: np.ndarray | None = None
    """Floats of the same shape that came with them, in the measure ``ready_distance``."""
    ready_distance: str | None = None
    """angular (1 − cosine), euclidean …; None: unknown."""
    notices: tuple[str, ...] = ()
    """What the user should know of how the queries came about, a sentence each."""

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def description(self) -> str:
        """What a table's caption says of the queries: ``200 originals × 7 edits``."""
        return self.describe(len(self.gallery))

    def describe(self, gallery_size: int) -> str:
        """Return the description of these queries against a gallery of ``gallery_size`` rows."""
        sources, clusters = len(set(self.sources)), len(set(self.clusters))
        described = self.wording.format(
            queries=f"{len(self):,}", sources=f"{sources:,}", all=f"{len(self) + gallery_size:,}"
        )
        return described + (f", intervals over {clusters:,} classes" if clusters < sources else "")

    @property
    def clusters(self) -> Sequence[str]:
        """Per query, equal for those that may be alike: what intervals, tests and halves take as one.

        Where relevance is by class, and the queries are of :data:`FEWEST_CLASSES` or more, that is the class;
        else, and for queries of no class, the source. Fewer classes say too little of other ones: intervals
        then speak of other queries of the same classes.
        """
        if self.classes is None or len({*self.classes.queries} - {None}) < FEWEST_CLASSES:
            return self.sources
        return [
            f"source {source}" if name is None else f"class {name}"
            for source, name in zip(self.sources, self.classes.queries, strict=True)
        ]

    @property
    def judged(self) -> bool:
        """Whether the protocol says what is relevant."""
        return self.relevant_ids is not None or self.classes is not None

    def take(self, rows: Sequence[int]) -> QueryPlan:
        """Return the plan of the queries of ``rows``, in that order."""
        rows = [int(row) for row in rows]
        ready, distances = self.ready_neighbours, self.ready_distances
        return replace(
            self,
            queries=self.queries.take(rows),
            sources=[self.sources[row] for row in rows],
            edits=None if self.edits is None else [self.edits[row] for row in rows],
            relevant_ids=None if self.relevant_ids is None else [self.relevant_ids[row] for row in rows],
            classes=None
            if self.classes is None
            else replace(self.classes, queries=[self.classes.queries[row] for row in rows]),
            ignored_ids=None if self.ignored_ids is None else [self.ignored_ids[row] for row in rows],
            ready_neighbours=None if ready is None else ready[rows],
            ready_distances=None if distances is None else distances[rows],
        )


def tells_nothing(values: Sequence[str | None] | None, kind: str, noun: str) -> str | None:
    """Why relevance by the label, group or caption of each image (``values``) would say nothing; else None.

    Everything that is found is relevant where all have the same, nothing where no two share one.
    """
    counts = Counter(value for value in values or () if value is not None)
    if values and len(counts) == 1 and None not in values:
        only = reprlib.repr(next(iter(counts)))
        return f"all {len(values):,} {noun} have the {kind} {only}, so everything that is found counts"
    if values and max(counts.values(), default=0) < 2:
        return f"no two {noun} share a {kind}, so there is nothing to find"
    return None


def strangers(classes: Classes) -> tuple[str, ...]:
    """Return how many queries have a label that nothing in the gallery has, a sentence; () where all share.

    QueryError when no query has a label of the gallery's: it is written in another way, most likely.
    """
    known = {label for label in classes.gallery if label is not None}
    asked = [label for label in classes.queries if label is not None]
    strange = [label for label in asked if label not in known]
    if not strange:
        return ()
    if len(strange) == len(asked):
        theirs = reprlib.repr(sorted(known)[0]) if known else "none at all"
        raise QueryError(
            f"no query has a label of the gallery's: {reprlib.repr(strange[0])} is one of the queries' and "
            f"{theirs} of the gallery's; write both alike (dataset.limit leaves rows out)"
        )
    return (
        f"{len(strange):,} of {len(classes.queries):,} queries have a label that nothing in the gallery has, "
        f"{reprlib.repr(strange[0])} for one: they do not count",
    )


def literal(name: str) -> str:
    """``name`` as a part of a plan's wording, in which braces mean something."""
    return name.replace("{", "{{").replace("}", "}}")


def sample(ids: Sequence[str], config: schemas.Queries) -> tuple[list[int], tuple[str, ...]]:
    """Return the rows of ``config.n`` of ``ids``, ascending, and notices.

    A larger n contains the smaller one's sample. When there are fewer than n, all are taken, with a notice:
    a default of 1,000 should not stop who tries 500 images. QueryError when n is below 1.
    """
    if config.n is not None and config.n < 1:
        raise QueryError(f"queries.n={config.n} asks for no query; set it to 1 or more, or to null for all")
    notices: tuple[str, ...] = ()
    if config.n is not None and config.n > len(ids):
        notices = (f"queries.n={config.n:,} exceeds the {len(ids):,} there are; all of them are taken",)
    return nested_sample(ids, config.n, config.seed, "queries"), notices
