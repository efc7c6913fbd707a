"""What two runs answer to one query, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lookalike import schemas
from lookalike.datasets.folder import expand_root, scan_images
from lookalike.datasets.sets import ImageSet
from lookalike.errors import UserError
from lookalike.runs.opener import FinishedRun
from lookalike.ui.judging import EXACT, GALLERY, RUNS, Terms


class Contest:
    """Two runs over one gallery, and the images that both are searched for."""

    def __init__(self, a: FinishedRun, b: FinishedRun, terms: Terms) -> None:
        if list(a.images.ids) != list(b.images.ids):
            raise UserError(
                "the two runs searched different images (one was run before the dataset changed); "
                "run both again and judge those runs"
            )
        self.runs = dict(zip(RUNS, (a, b), strict=True))
        self.gallery = a.images
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
            self._answered[query] = {run: self._search(run, query) for run in RUNS}
        return self._answered[query]

    def _search(self, name: str, query: str) -> list[int]:
        run, k = self.runs[name], self.terms.k
        itself = self._row[query] if self.terms.queries == GALLERY else -1
        vector = run.vectors.rows(np.array([itself])) if itself >= 0 else run.embed(self.image(query))
        most = min(k + (itself >= 0), len(run.vectors))
        exactly = self.terms.answers == EXACT
        hits = run.search_exactly(vector, most) if exactly else run.search(vector, most)
        return [row for row in hits.rows.tolist() if row != itself][:k]


def query_images(gallery: ImageSet, queries: str) -> ImageSet:
    """The gallery itself, or the images below the folder ``queries``. DatasetError when there are none."""
    if queries == GALLERY:
        return gallery
    return scan_images(expand_root(queries, "--queries"), schemas.ImageDataset(name="files"))
