"""A finished run, open to be searched with an image or a caption: ``lookalike query`` and notebooks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lookalike.datasets.images import EXTENSIONS, UNREADABLE_EXTENSIONS, decode
from lookalike.datasets.sets import ImageSet
from lookalike.errors import ImageError, QueryError, printable
from lookalike.machine.filesystems import results_root
from lookalike.progress import SILENT, Progress
from lookalike.report.hits import Answer, Strip, Tile, draw_sheet
from lookalike.runs.catalog import RunPlace, find_run
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.retriever import Comparison, Hits, Retriever
from lookalike.schemas import ImageDataset

if TYPE_CHECKING:
    import pandas as pd

SHOWN_BY_DEFAULT = 10
PATH_STARTS = ("/", "./", "../", "~", ".\\", "..\\")


@dataclass(frozen=True)
class Query:
    """What is searched for."""

    name: str
    content: Image.Image | str
    """The decoded image, or the caption."""


@dataclass(frozen=True)
class SearchResult:
    """What one search found, nearest first; a notebook shows it as a sheet of images."""

    query: Query
    found: Hits
    comparison: Comparison | None
    """The answer of the index beside the exact one, where it was asked for."""
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

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        draw_sheet([self.pictured()], self.gallery).save(data, "PNG")
        return data.getvalue()


class OpenRun:
    """One operating point of a finished run, with its gallery, model and index, ready to be searched.

    Safe to share by threads.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever

    @property
    def record(self) -> Record:
        """The run's."""
        return self.retriever.record

    @property
    def point(self) -> PointRecord:
        """The operating point's."""
        return self.retriever.point

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
        retriever = self.retriever
        asked = _asked(query, retriever.record)
        k = min(SHOWN_BY_DEFAULT, retriever.max_k) if k is None else k
        if isinstance(asked.content, str):
            vector = retriever.embed_text(asked.content)
        else:
            vector = retriever.embed_image(asked.content)
        if not compare:
            return SearchResult(asked, retriever.search(vector, k, settings), None, retriever.gallery)
        comparison = retriever.compare(vector, k, settings)
        return SearchResult(asked, comparison.found, comparison, retriever.gallery)


def open_run(
    run: str | Path | RunPlace = "latest", *, root: str | Path | None = None, progress: Progress = SILENT
) -> OpenRun:
    """Open an operating point of a finished run; nothing is embedded or built again.

    run: ``latest``, the folder of a run or a sweep, a sweep's name (its best point), an MLflow run id, and
        any of these with a point after a colon: ``emoji:nprobe=8``.
    root: ``paths.root`` of the runs; default: LOOKALIKE_HOME, else the working directory.

    Raises UserError when there is no such run, or when its images, vectors, index or model are gone.

        lookalike.open_run("latest").search("photo.jpg", k=10)
    """
    home = results_root(root)
    place = run if isinstance(run, RunPlace) else find_run(home, str(run))
    return OpenRun(Retriever.open(place, home, progress))


def read_query(word: str, record: Record) -> Query:
    """Return the image or the caption that ``word`` is.

    It is an image if there is such a file, if it begins as a path does or ends as an image file does. Raises
    QueryError when it is an image that cannot be had, or an empty caption.
    """
    if not is_image(word):
        if not word.strip():
            raise QueryError("an empty caption finds nothing; name an image, or say what it shows")
        return Query(word, word)
    max_pixels = record.config.get("dataset", {}).get("max_pixels", ImageDataset.max_pixels)
    try:
        return Query(word, decode(Path(word).expanduser(), max_pixels))
    except ImageError as error:
        reason = str(error).partition("; ")[0]
        name = printable(word).replace("\n", "\\n")
        raise QueryError(f"{name} cannot be searched for: {reason}; name another image") from error


def is_image(word: str) -> bool:
    """Return whether a word names an image file, there or not; see :func:`read_query`."""
    try:
        there = Path(word).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # longer than a name can be, or holds what no name can
        there = False
    ending = Path(word).suffix.lower()
    return there or word.startswith(PATH_STARTS) or ending in EXTENSIONS | UNREADABLE_EXTENSIONS


def _asked(query: str | Path | Image.Image | Query, record: Record) -> Query:
    if isinstance(query, Query):
        return query
    if isinstance(query, Image.Image):
        return Query("image", query)
    if isinstance(query, Path):
        query = str(query.absolute())
    return read_query(query, record)
