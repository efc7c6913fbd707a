"""A finished run, open to be searched with an image or a caption: ``lookalike query`` and notebooks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lookalike.datasets.sets import ImageSet
from lookalike.machine.filesystems import results_root
from lookalike.progress import SILENT, Progress
from lookalike.report.hits import Answer, Strip, Tile, draw_sheet
from lookalike.runs.catalog import find_point
from lookalike.runs.opener import FinishedRun, open_point
from lookalike.runs.points import RunPoint
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.searching import Comparison, Hits, read_query
from lookalike.schemas import ImageDataset

if TYPE_CHECKING:
    import pandas as pd

SHOWN_BY_DEFAULT = 10


@dataclass(frozen=True)
class Query:
    """What is searched for."""

    name: str
    content: Image.Image | str
    """The decoded image, or the caption."""


@dataclass(frozen=True, repr=False)
class SearchResult:
    """What one search found, nearest first; a notebook shows it as a sheet of images."""

    query: Query
    found: Hits
    comparison: Comparison | None
    """What was found beside the exact neighbours, where these were searched for."""
    gallery: ImageSet

    @property
    def ids(self) -> list[str]:
        """The ids of the images that were found."""
        return list(self.found.ids)

    def images(self) -> list[Image.Image]:
        """Return the images that were found; raises ImageError for one that is no longer there."""
        return [self.gallery.load(int(row)) for row in self.found.rows]

    def frame(self) -> pd.DataFrame:
        """Return a row for each image: ``id``, ``score``, ``path``, and ``label`` where there are labels."""
        import pandas as pd

        rows = self.found.rows.tolist()
        columns = {
            "id": self.ids,
            "score": self.found.scores,
            "path": [self.gallery.locations[row] for row in rows],
        }
        if self.gallery.labels is not None:
            columns["label"] = [self.gallery.labels[row] for row in rows]
        return pd.DataFrame(columns)

    @property
    def strips(self) -> list[tuple[str, Hits, frozenset[int], str]]:
        """Each answer's name and hits, and which rows of it are marked as what."""
        if self.comparison is None:
            return [("index", self.found, frozenset(), "")]
        return [
            ("index", self.found, self.comparison.wrong, "not exact"),
            ("exact", self.comparison.exact, self.comparison.missed, "missed"),
        ]

    def pictured(self) -> Answer:
        """Return what a page or a contact sheet shows of it."""
        strips = []
        for name, hits, marked, mark in self.strips:
            title = f"{'the index' if name == 'index' else 'exact'}, {hits.milliseconds:.2f} ms"
            if marked:
                title += f" · {len(marked)} {mark}"
            tiles = [
                Tile(row, f"{score:.4f}", row in marked)
                for row, score in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)
            ]
            strips.append(Strip(title, tiles))
        return Answer(self.query.name, self.query.content, strips)

    def __repr__(self) -> str:
        found = f"{len(self.found)} found in {self.found.milliseconds:.2f} ms"
        return f"<SearchResult of {self.query.name!r}: {found}>"

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        draw_sheet([self.pictured()], self.gallery).save(data, "PNG")
        return data.getvalue()


class OpenRun:
    """One operating point of a finished run, with its gallery, model and index, ready to be searched.

    Safe to share by threads.
    """

    def __init__(self, run: FinishedRun) -> None:
        self.run = run

    @property
    def record(self) -> Record:
        """The run's."""
        return self.run.record

    @property
    def point(self) -> PointRecord:
        """The operating point's."""
        return self.run.point

    @property
    def images(self) -> ImageSet:
        """The gallery: ``load(row)`` gives an image, ``labels[row]`` its label, where there are labels."""
        return self.run.images

    def search(
        self,
        query: str | Path | Image.Image | Query,
        k: int | None = None,
        *,
        compare: bool = False,
        **settings: int,
    ) -> SearchResult:
        """Return the ``k`` nearest images (10, or all of a smaller gallery) as the run's index finds them.

        query: an image, the path of an image file, or a caption for a model that reads text.
        compare: search exactly as well, and mark what the index missed.
        settings: search settings instead of the run's own, such as ``nprobe=8``.

        Raises QueryError for a query, ``k`` or setting that cannot be, ModelError when the model cannot embed
        the query.

            lookalike.open_run("emoji").search("photo.jpg", k=5, nprobe=32, compare=True)
        """
        run = self.run
        question = _as_query(query, run.record)
        k = min(SHOWN_BY_DEFAULT, len(run.vectors)) if k is None else k
        content = question.content
        vector = run.embed_text(content) if isinstance(content, str) else run.embed(content)
        if not compare:
            return SearchResult(question, run.search(vector, k, **settings), None, run.images)
        comparison = run.compare(vector, k, **settings)
        return SearchResult(question, comparison.found, comparison, run.images)


def open_run(
    run: str | Path | RunPoint = "latest", *, root: str | Path | None = None, progress: Progress = SILENT
) -> OpenRun:
    """Open an operating point of a finished run; nothing is embedded or built again.

    run: ``latest``, the folder of a run or a sweep, a sweep's name (its best point), an MLflow run id, and
        any of these with a point after a colon: ``emoji:nprobe=8``.
    root: ``paths.root`` of the runs; default: LOOKALIKE_HOME, else the working directory.

    Raises UserError when there is no such run, or when its images, vectors, index or model are gone.

        lookalike.open_run("latest").search("photo.jpg", k=10)
    """
    home = results_root(root)
    point = run if isinstance(run, RunPoint) else find_point(home, str(run))
    opened = open_point(point, home, progress)
    opened.require_searchable()
    return OpenRun(opened)


def query_of(word: str | Path, record: Record) -> Query:
    """Return the image or the caption that ``word`` is.

    It is an image if there is such a file, if it begins as a path does or ends as an image file does. Raises
    QueryError when it is an image that cannot be read, or an empty caption.
    """
    most = record.config.get("dataset", {}).get("max_pixels", ImageDataset.max_pixels)
    return Query(str(word), read_query(word, most))


def _as_query(query: str | Path | Image.Image | Query, record: Record) -> Query:
    if isinstance(query, Query):
        return query
    return Query("image", query) if isinstance(query, Image.Image) else query_of(query, record)
