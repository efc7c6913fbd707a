"""Which images of a gallery are byte-identical."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.datasets.sets import UNREADABLE, ImageSet, VectorSet
from lookalike.progress import SILENT, Progress
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

DUPLICATES_VERSION = 2


def duplicate_groups(images: ImageSet | VectorSet, store: Store, progress: Progress = SILENT) -> np.ndarray:
    """Return int64 (len(images),): the first row with the same bytes; the row itself when it is unique.

    Only files of equal size are read. Kept in the store under the images' ids and fingerprints. What cannot
    be read has no duplicates. Of ready vectors, which have no files of their own, it is what came with
    them (``duplicate_of``).
    """
    if isinstance(images, VectorSet):
        return _declared_duplicates(images)
    listing = json.dumps([list(images.ids), list(images.fingerprints)]).encode()
    recipe = Recipe(
        kind="duplicates",
        version=DUPLICATES_VERSION,
        parameters={"images": hashlib.sha256(listing).hexdigest()},
        parents={},
    )

    def build(draft: Path) -> Mapping[str, Any]:
        groups = _find(images, progress)
        np.save(draft / "groups.npy", groups)
        return {"duplicates": int(np.count_nonzero(groups != np.arange(len(groups))))}

    groups: np.ndarray = np.load(store.obtain(recipe, build).file("groups.npy"), allow_pickle=False)
    return groups


def _declared_duplicates(vectors: VectorSet) -> np.ndarray:
    if vectors.duplicate_of is None:
        return np.arange(len(vectors), dtype=np.int64)
    first_of: dict[str, int] = {}
    names = zip(vectors.ids, vectors.duplicate_of, strict=True)
    rows = (first_of.setdefault(first or id_, row) for row, (id_, first) in enumerate(names))
    return np.fromiter(rows, np.int64, len(vectors))


def rows_with_the_same_bytes(queries: ImageSet, gallery: ImageSet) -> list[list[int]]:
    """Return, per query, the gallery rows whose file is byte-identical to the query's.

    Only gallery files of a query's size are read; what cannot be read equals nothing.
    """
    wanted = [_digest(queries, row) for row in range(len(queries))]
    sizes = {size for row in range(len(queries)) if (size := _size(queries, row)) is not None}
    rows_of: defaultdict[str | None, list[int]] = defaultdict(list)
    for row in range(len(gallery)):
        if _size(gallery, row) in sizes:
            rows_of[_digest(gallery, row)].append(row)
    return [[] if digest is None else rows_of.get(digest, []) for digest in wanted]


def _size(images: ImageSet, row: int) -> int | None:
    try:
        if images.size is not None:
            return images.size(row)
        return Path(images.locations[row]).stat().st_size
    except OSError:
        return None


def _digest(images: ImageSet, row: int) -> str | None:
    if images.open is not None:
        digest = images.content_hash(row)
        return None if digest == UNREADABLE else digest
    try:
        with Path(images.locations[row]).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _find(images: ImageSet, progress: Progress) -> np.ndarray:
    groups = np.arange(len(images), dtype=np.int64)
    of_size: defaultdict[int, list[int]] = defaultdict(list)
    for row in range(len(images)):
        if (size := _size(images, row)) is not None:
            of_size[size].append(row)
    candidates = sorted(row for rows in of_size.values() if len(rows) > 1 for row in rows)
    first_with: dict[str, int] = {}
    with progress.bar("looking for duplicates", len(candidates), "images") as bar:
        for row in candidates:
            if (digest := _digest(images, row)) is not None:
                groups[row] = first_with.setdefault(digest, row)
            bar.advance()
    return groups
