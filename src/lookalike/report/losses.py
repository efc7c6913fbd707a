"""The images behind the numbers: queries on which chosen points lost most, small enough for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.errors import UserError
from lookalike.evaluate.measures import drop_ignored
from lookalike.progress import Progress
from lookalike.report.front import front
from lookalike.report.recommend import Advice
from lookalike.report.rows import Row
from lookalike.report.samples import read_arrays
from lookalike.runs.catalog import Run
from lookalike.runs.opener import FinishedRun, open_point
from lookalike.runs.points import RunPoint
from lookalike.runs.record import FINISHED
from lookalike.schemas import VectorDataset

if TYPE_CHECKING:
    from PIL.Image import Image

FOUND_ENOUGH = 0.999
"""A point that misses less than this has nothing to show."""
MOST_POINTS = 3
"""Points whose losses are shown."""
WORST = 12
WORST_OF_AN_EDIT = 3
SHOWN = 10
"""Neighbours of a query that are shown."""
SIDE = 80
MAX_IMAGE_BYTES = 1_800_000
"""Of all images in a page; queries that do not fit are left out, and the page says how many."""

NOT_KEPT = "its raw neighbours are not beside its record; run the experiment again to see what it lost"

Losses = dict[str, Any]


@dataclass(frozen=True)
class LostQuery:
    """One query beside its exact and its returned neighbours."""

    name: str
    load: Callable[[], Image | str]
    """The query image, or the text of a caption."""
    exact: Sequence[int]
    """Gallery rows of the exact neighbours, nearest first; −1: there is none."""
    found: Sequence[int]
    """Gallery rows that the index returned, nearest first; −1: nothing."""
    recall: float
    """The query's ``knn_recall`` at the k that the run searched for."""
    relevant: Sequence[int] = ()
    """Those of both that are right answers, where the protocol knows; they get a mark."""

    @property
    def missed(self) -> frozenset[int]:
        """Exact neighbours among the shown ones that the index did not return at all."""
        return frozenset(self.exact) - frozenset(self.found) - {-1}


def losses_payload(
    advice: Sequence[tuple[Advice, Sequence[Row]]],
    rows: Sequence[Row],
    runs: Sequence[Run],
    root: Path | None,
    progress: Progress,
) -> Losses:
    """Return pages of lost queries and the images they share; where there are none, the reason."""
    folders = {run.record.identity: run.folder for run in runs}
    numbers = {id(row): number for number, row in enumerate(rows)}
    pages: list[Losses] = []
    notes: list[str] = []
    album = _Album()
    for row in points_to_show(advice) if root is not None else ():
        folder = folders[row.record.identity]
        try:
            page = _page(_opened(row, folder, root or Path(), progress), album)
            pages.append({"point": numbers[id(row)], **page})
        except (UserError, OSError) as error:
            notes.append(f"{row.point.label}: {error}")
    return {"pages": pages, "images": album.images, "notes": list(dict.fromkeys(notes))}


def points_to_show(advice: Sequence[tuple[Advice, Sequence[Row]]]) -> list[Row]:
    """Return each set's recommended point and the ends of its front, as far as they lose anything."""
    chosen: dict[int, Row] = {}
    for recommendation, members in advice:
        losing = [
            row
            for row in members
            if row.record.status == FINISHED and row.recall is not None and row.recall < FOUND_ENOUGH
        ]
        fast = sorted(front(losing), key=lambda row: row.recall or 0.0)
        wanted = [recommendation.row, *fast[-1:], *fast[:1]]
        chosen |= {
            id(row): row for row in wanted if row is not None and any(row is other for other in losing)
        }
    return list(chosen.values())[:MOST_POINTS]


class _Album:
    """Thumbnails by key, each once, up to a size."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.bytes = 0

    @property
    def is_full(self) -> bool:
        return self.bytes >= MAX_IMAGE_BYTES

    def add(self, key: str, load: Callable[[], Image | str]) -> dict[str, str]:
        """Return ``{"image": key}``, ``{"text": caption}``, or {} for what cannot be loaded."""
        if key not in self.images:
            try:
                content = load()
            except Exception:  # a thumbnail that cannot be drawn must not cost the report
                return {}
            if isinstance(content, str):
                return {"text": content}
            self.images[key] = "data:image/webp;base64," + base64.b64encode(_webp(content)).decode("ascii")
            self.bytes += len(self.images[key])
        return {"image": key}


def _webp(image: Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    small.save(data, "WEBP", quality=72)
    return data.getvalue()


def _opened(row: Row, folder: Path | None, root: Path, progress: Progress) -> FinishedRun:
    if folder is None:
        raise UserError(NOT_KEPT)
    return open_point(RunPoint(folder, row.record, row.point), root, progress)


def _page(run: FinishedRun, album: _Album) -> Losses:
    """One point's lost queries, the worst first."""
    if isinstance(run.experiment.dataset, VectorDataset):
        raise UserError("ready vectors have no images to show")
    recall = _kept(run, "knn_recall")["knn_recall"]
    edits, labels = run.plan.edits, getattr(run.plan.queries, "labels", None)
    chosen = list(_worst(recall, edits))
    entries: list[Losses] = []
    for query, number in zip(lost_queries(run, chosen), chosen, strict=False):
        if album.is_full:
            break
        entry = _entry(query, f"{run.queries.key}/{number}", run.vectors.key, run.images, album)
        entry |= {} if edits is None else {"edit": edits[number]}
        entry |= {} if labels is None or labels[number] is None else {"label": labels[number]}
        entries.append(entry)
    return {
        "recall": float(np.nanmean(recall)),
        "lossless": int((recall >= 1).sum()),
        "asked": int((~np.isnan(recall)).sum()),
        "queries": entries,
        "left_out": len(chosen) - len(entries),
    }


def _kept(run: FinishedRun, *names: str) -> dict[str, np.ndarray]:
    """Raw results of the point. Raises UserError when they were not kept."""
    raw = read_arrays(run.folder, run.point, names)
    if len(raw) < len(names):
        raise UserError(NOT_KEPT)
    return raw


def _worst(recall: np.ndarray, edits: Sequence[str] | None) -> Iterator[int]:
    """Queries that lost anything, the worst first: some of all, and some of each edit."""
    order = [int(query) for query in np.argsort(recall, kind="stable") if recall[query] < 1]
    kept = set(order[:WORST])
    for edit in dict.fromkeys(edits or ()):
        kept.update([query for query in order if edits and edits[query] == edit][:WORST_OF_AN_EDIT])
    return (query for query in order if query in kept)


def _entry(query: LostQuery, key: str, gallery_key: str, gallery: ImageSet, album: _Album) -> Losses:
    relevant = set(query.relevant)
    wrong = frozenset(query.found) - frozenset(query.exact)

    def tiles(rows: Sequence[int], outlined: frozenset[int]) -> list[Losses]:
        return [
            {
                "id": gallery.ids[row] if row >= 0 else "",
                "lost": row in outlined,
                "right": row in relevant,
                **(album.add(f"{gallery_key}/{row}", partial(gallery.load, row)) if row >= 0 else {}),
            }
            for row in rows[:SHOWN]
        ]

    return {
        "name": query.name,
        "recall": round(query.recall, 4),
        "query": album.add(key, query.load),
        "exact": tiles(query.exact, query.missed),
        "found": tiles(query.found, wrong),
    }


def lost_queries(run: FinishedRun, queries: Sequence[int]) -> list[LostQuery]:
    """Return chosen queries of the run beside their exact and their returned neighbours, both without junk.

    ``queries``: rows of ``run.queries``. Empty where queries are vectors, which cannot be looked at. Raises
    UserError when the run's raw results, vectors or images are gone.
    """
    raw = _kept(run, "rows", "scores", "knn_recall")
    exact, relevance, query_set = run.exact_neighbours, run.relevance, run.plan.queries
    if isinstance(query_set, VectorSet):
        return []
    lost = []
    for query in queries:
        one = slice(query, query + 1)
        k = run.point.k
        found, _ = drop_ignored(raw["rows"][one], raw["scores"][one], relevance, k, query)
        nearest, _ = drop_ignored(exact.rows[one], exact.scores[one], relevance, k, query)
        both = np.concatenate([nearest, found], axis=1)
        lost.append(
            LostQuery(
                name=run.queries.ids[query],
                load=partial(query_set.load, query),
                exact=nearest[0].tolist(),
                found=found[0].tolist(),
                recall=float(raw["knn_recall"][query]),
                relevant=both[relevance.are_relevant(both, query)].tolist(),
            )
        )
    return lost
