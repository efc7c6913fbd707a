"""Memory to serve an index: measured once for each, in a fresh process that only loads and searches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import IndexingError
from lookalike.index.build import INDEX_FILE, IndexArtifacts
from lookalike.machine.mapping import Place, place_of
from lookalike.machine.processes import run_module
from lookalike.progress import SILENT, Progress
from lookalike.schemas import Index
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings

SERVING_VERSION = 1
QUERIES = 64
"""Gallery vectors that the process searches, spread over the gallery."""
K = 100


def serving_memory(
    config: Index, built: IndexArtifacts, gallery: Embeddings, store: Store, progress: Progress = SILENT
) -> Artifact:
    """Measure, or reuse what was measured for the same index.

    The artifact's facts: ``serving_memory_bytes``, the sum of ``anonymous_bytes`` and ``file_backed_bytes``:
    what the process holds after :data:`QUERIES` single searches, less what it held before it loaded. They
    are None where the system does not tell. Pages of FAISS's own code that a search touches (1 to 3 MB) are
    in the sum. The searches use the settings in ``index.point``.
    """
    parameters = {"family": config.family, "mmap": config.mmap, "point": dict(config.point)}
    if built.index is None:
        parameters["metric"] = config.metric
        parents = {f"embeddings of shard {i + 1}": key for i, key in enumerate(gallery.keys)}
    else:
        parents = {"index": built.index.key}
    recipe = Recipe("serving", SERVING_VERSION, parameters, parents)

    def measure(draft: Path) -> dict[str, Any]:
        with progress.bar("memory to serve the index", None):
            return _measure(config, built, gallery, draft)

    return store.obtain(recipe, measure)


def _measure(config: Index, built: IndexArtifacts, gallery: Embeddings, draft: Path) -> dict[str, Any]:
    rows = np.unique(np.linspace(0, len(gallery) - 1, QUERIES).astype(np.int64))
    queries = draft / "queries.npy"
    np.save(queries, gallery.rows(rows))
    task = {
        "index": None if built.index is None else str(built.index.file(INDEX_FILE)),
        "vectors": _mapped_vectors(gallery, draft) if built.index is None else [],
        "metric": config.metric,
        "mmap": config.mmap,
        "settings": dict(config.point),
        "queries": str(queries),
        "k": min(K, len(gallery)),
    }
    result = run_module("lookalike.index.serving_process", json.dumps(task))
    for file in draft.iterdir():
        file.unlink()
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        _, refused, reason = last.partition("FAISS cannot search the index: ")
        if refused:
            raise IndexingError(f"{refused}{reason}; choose another index")
        raise IndexingError(
            f"a fresh process could not serve the index ({last}); "
            "see that there is memory for a second copy of it"
        )
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def _mapped_vectors(gallery: Embeddings, draft: Path) -> list[tuple[str, int, tuple[int, ...]]]:
    """File, offset in bytes and shape of each shard; of those that are not mapped, a copy in the draft."""
    found = []
    for number, shard in enumerate(gallery.shards):
        place = place_of(shard)
        if place is None:
            place = Place(draft / f"vectors-{number}.f32", 0)
            shard.tofile(place.file)
        found.append((str(place.file), place.offset, shard.shape))
    return found
