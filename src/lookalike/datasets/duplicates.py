"""Which images of a gallery are byte-identical."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.progress import SILENT, Progress
from lookalike.store import Recipe, Store

DUPLICATES_VERSION = 1


def duplicate_groups(images: ImageSet | VectorSet, store: Store, progress: Progress = SILENT) -> np.ndarray:
    """Return int64 (len(images),): the first row with the same bytes; the row itself when it is unique.

    Only files of equal size are read. Kept in the store under the images' ids and fingerprints. What cannot
    be read is nobody's duplicate, nor are ready vectors, which have no files of their own.
    """
    if isinstance(images, VectorSet):
        return np.arange(len(images), dtype=np.int64)
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


def _find(images: ImageSet, progress: Progress) -> np.ndarray:
    groups = np.arange(len(images), dtype=np.int64)
    of_size: defaultdict[int, list[int]] = defaultdict(list)
    for row, location in enumerate(images.locations):
        try:
            of_size[Path(location).stat().st_size].append(row)
        except OSError:
            continue
    candidates = sorted(row for rows in of_size.values() if len(rows) > 1 for row in rows)
    first_with: dict[bytes, int] = {}
    with progress.bar("looking for duplicates", len(candidates), "images") as bar:
        for row in candidates:
            try:
                with Path(images.locations[row]).open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").digest()
                groups[row] = first_with.setdefault(digest, row)
            except OSError:
                pass
            bar.advance()
    return groups
