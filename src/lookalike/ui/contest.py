"""What two runs answer to one query, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lookalike import schemas
from lookalike.datasets.folder import expand_root, scan_images
from lookalike.datasets.sets import ImageSet
from lookalike.errors import UserError
from lookalike.runs.retriever import Retriever
from lookalike.ui.judging import EXACT, GALLERY, RUNS, Terms


class Contest:
    """Two retrievers over one gallery, and the images that both are asked for."""

    def __init__(self, a: Retriever, b: Retriever, terms: Terms) -> None:
        if list(a.gallery.ids) != list(b.gallery.ids):
            raise UserError(
                "the two runs searched different images (one was run before the dataset changed); "
                "run both again and judge those runs"
            )
        self.retrievers = dict(zip(RUNS, (a, b), strict=True))
        self.gallery = a.gallery
        self.terms = terms
        self.queries = query_images(self.gallery, terms.queries)
        self._row = {id_: row for row, id_ in enumerate(self.queries.ids)}
        self._answered: dict[str, dict[str, list[int]]] = {}

    def image(self, query: str) -> Image.Image:
        """The query's image; ImageError when it cannot be decoded."""
        return self.queries.load(self._row[query])

    def file(self, query: str) -> Path:
        """Where the query's image lies."""
        return Path(self.queries.locations[self._row[query]])

    def row(self, query: str) -> int:
        """The query's row in ``queries``."""
        return self._row[query]

    def answers(self, query: str) -> dict[str, list[int]]:
        """Run -> gallery rows of its first k, the query itself left out. ImageError as :meth:`image`."""
        if query not in self._answered:
            self._answered[query] = {run: self._ask(run, query) for run in RUNS}
        return self._answered[query]

    def _ask(self, run: str, query: str) -> list[int]:
        retriever, k = self.retrievers[run], self.terms.k
        itself = self._row[query] if self.terms.queries == GALLERY else -1
        if itself >= 0:
            vector = retriever.run.vectors.rows(np.array([itself]))
        else:
            vector = retriever.embed_image(self.image(query))
        most = min(k + (itself >= 0), retriever.max_k)
        exactly = self.terms.answers == EXACT
        hits = retriever.exact(vector, most) if exactly else retriever.search(vector, most)
        return [row for row in hits.rows.tolist() if row != itself][:k]


def query_images(gallery: ImageSet, queries: str) -> ImageSet:
    """The gallery itself, or the images below the folder ``queries``. DatasetError when there are none."""
    if queries == GALLERY:
        return gallery
    return scan_images(expand_root(queries, "--queries"), schemas.ImageDataset(name="files"))
