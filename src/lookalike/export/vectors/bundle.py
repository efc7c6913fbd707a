"""What passes from one program to another: gallery vectors, and queries with their exact neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lookalike.datasets import open_dataset, source_of
from lookalike.datasets.formats.neighbours import open_neighbours
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.usable import check_vectors
from lookalike.errors import DatasetError, UserError
from lookalike.progress import SILENT, Progress
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.queries.vectors import neighbours_beside, own_queries
from lookalike.runs.opener import FinishedRun
from lookalike.schemas import EmbeddingsDataset, VectorsQueries

ROWS_AT_A_TIME = 8_192
"""Of vectors that are passed on block by block."""


class Vectors(Protocol):
    """Vectors that are read block by block: :class:`VectorSet` and ``Embeddings`` are such."""

    @property
    def ids(self) -> Sequence[str]:
        """One a row."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions."""
        ...

    def __len__(self) -> int: ...

    def blocks(self, rows_per_block: int, /) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, float32 rows)."""
        ...


@dataclass(frozen=True)
class Bundle:
    """A gallery, and what was searched for in it."""

    gallery: Vectors
    of_directions: bool
    """Whether cosines compare the vectors: they are of unit length, or to be scaled to it."""
    labels: Sequence[str | None] | None = None
    captions: Sequence[str | None] | None = None
    duplicate_of: Sequence[str | None] | None = None
    """Per gallery row, the id of the first row whose image has the same bytes, where that is another."""
    plan: QueryPlan | None = None
    """What is known of the queries beside their vectors, in their order: names, sources, edits, relevance."""
    queries: Vectors | None = None
    metric: str | None = None
    """l2 | ip: what the neighbours are nearest by; None without neighbours."""
    neighbours: npt.NDArray[np.int64] | None = None
    """Shape (queries, k): gallery rows, nearest first; −1 for none."""
    scores: npt.NDArray[np.float32] | None = None
    """Same shape: squared distances for l2, inner products for ip."""
    notices: tuple[str, ...] = ()
    """What the user should know of the source, a sentence each."""


def bundle_of_run(run: FinishedRun) -> Bundle:
    """Return the vectors that a run searched, its queries, and their exact neighbours.

    Raises UserError when one of them is no longer in the store.
    """
    gallery = run.gallery
    depth = min(run.exact_neighbours.depth, len(run.vectors))
    plan, notices = _plan_of(run)
    labels = gallery.labels if plan is None else _labels_of(run.vectors.ids, plan, gallery.labels)
    return Bundle(
        gallery=run.vectors,
        of_directions=run.vectors.unit_length and run.queries.unit_length,
        labels=labels,
        captions=gallery.captions,
        duplicate_of=None if plan is None else _duplicates_of(run, plan),
        plan=plan,
        notices=notices,
        queries=run.queries,
        metric=run.experiment.index.metric,
        neighbours=np.asarray(run.exact_neighbours.rows[:, :depth]),
        scores=np.asarray(run.exact_neighbours.scores[:, :depth]),
    )


def _plan_of(run: FinishedRun) -> tuple[QueryPlan | None, tuple[str, ...]]:
    """The run's queries as they were planned; None, and why, when the dataset is no longer what it was."""
    try:
        return run.plan, ()
    except UserError:
        return None, (
            "the dataset has changed since the run: what its queries should find is not known any more, and "
            "left out",
        )


def _labels_of(
    gallery_ids: Sequence[str], plan: QueryPlan, labels: Sequence[str | None] | None
) -> Sequence[str | None] | None:
    """The class of each gallery row where queries are judged by class (label, group or caption)."""
    if plan.classes is None:
        return labels
    class_of = dict(zip(plan.gallery.ids, plan.classes.gallery, strict=True))
    return [class_of[id_] for id_ in gallery_ids]


def _duplicates_of(run: FinishedRun, plan: QueryPlan) -> Sequence[str | None] | None:
    """Which images had the bytes of an earlier one, where that was looked for; None: none had."""
    if run.duplicates is None:
        return None
    searched, first_of = {*run.vectors.ids}, dict[int, str]()
    found: dict[str, str] = {}
    for id_, group in zip(plan.gallery.ids, run.duplicates.tolist(), strict=True):
        if id_ in searched and first_of.setdefault(group, id_) != id_:
            found[id_] = first_of[group]
    return [found.get(id_) for id_ in run.vectors.ids] if found else None


def bundle_of_files(config: EmbeddingsDataset, progress: Progress = SILENT) -> Bundle:
    """Return ready vectors with the queries that came with them, their neighbours and relevance.

    DatasetError when damaged.
    """
    gallery = open_dataset(config, progress)
    if not isinstance(gallery, VectorSet):
        raise DatasetError(f"{config.root} holds no vectors; name a file of vectors or a folder of them")
    bundle = Bundle(
        Checked(gallery),
        gallery.normalize,
        gallery.labels,
        gallery.captions,
        gallery.duplicate_of,
        notices=(*gallery.notices, *source_of(config).notices("l2")),
    )
    file = None if config.array is not None else own_queries([Path(name) for name in gallery.files])
    if file is None:
        return bundle
    plan = plan_queries(VectorsQueries(file=str(file)), gallery)
    if not isinstance(plan.queries, VectorSet):
        raise DatasetError(f"{file} holds no query vectors; leave it out")
    bundle = replace(
        bundle, queries=Checked(plan.queries), plan=plan, notices=(*bundle.notices, *plan.notices)
    )
    neighbours = neighbours_beside(file)
    return bundle if neighbours is None else _with_neighbours(bundle, neighbours)


def _with_neighbours(bundle: Bundle, file: Path) -> Bundle:
    table = open_neighbours(file)
    rows = np.asarray(table.rows, np.int64)
    if rows.min() < -1 or rows.max() >= len(bundle.gallery):
        raise UserError(f"the neighbours in {file} are rows that the gallery has not; write it again")
    if table.distances is None:
        return replace(bundle, neighbours=rows)
    distances = np.asarray(table.distances, np.float32)
    if bundle.of_directions:
        return replace(bundle, neighbours=rows, metric="ip", scores=1 - distances)
    return replace(bundle, neighbours=rows, metric="l2", scores=distances**2)


@dataclass(frozen=True)
class Checked:
    """Ready vectors; a row that nothing can rank is an error when it is read."""

    vectors: VectorSet

    @property
    def ids(self) -> Sequence[str]:
        return self.vectors.ids

    @property
    def dim(self) -> int:
        return self.vectors.dim

    def __len__(self) -> int:
        return len(self.vectors)

    def blocks(self, rows_per_block: int, /) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks as stored. DatasetError names a row that is zero or holds NaN or infinity."""
        for start, block in self.vectors.blocks(rows_per_block):
            check_vectors(block, start, self.vectors.location, self.vectors.normalize)
            yield start, block


def query_columns(bundle: Bundle) -> dict[str, Sequence[str | None] | None]:
    """Return what is known of each query: ``id``, and ``label``, ``source`` and ``edit`` if any."""
    plan = bundle.plan
    if bundle.queries is None or plan is None:
        return {"id": None if bundle.queries is None else bundle.queries.ids}
    apart = list(plan.sources) != list(plan.queries.ids)
    return {
        "id": plan.queries.ids,
        "label": None if plan.classes is None else plan.classes.queries,
        "source": plan.sources if apart else None,
        "edit": plan.edits,
    }


def relevance_of(bundle: Bundle) -> dict[str, list[tuple[str, str]]]:
    """Return pairs of a query's and a gallery id: ``relevant`` where queries are judged by ids, ``ignored``.

    Only ids of vectors that are in the bundle; a query that is judged and has none left is in no pair.
    """
    plan, there = bundle.plan, {*bundle.gallery.ids}
    if plan is None:
        return {}
    lists = {"relevant": plan.relevant_ids, "ignored": plan.ignored_ids}
    return {
        name: [
            (query, id_)
            for query, ids in zip(plan.queries.ids, of_queries, strict=True)
            for id_ in ids
            if id_ in there
        ]
        for name, of_queries in lists.items()
        if of_queries is not None
    }
