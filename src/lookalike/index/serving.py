"""Memory to serve an index: measured once for each, in a child process that only loads and searches.

:func:`serving_memory` starts the child, which is this module run as a program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import IndexingError
from lookalike.index.build import INDEX_FILE, IndexArtifacts
from lookalike.index.searchers import BruteForceSearcher, FaissSearcher
from lookalike.machine.environment import threads
from lookalike.machine.mapping import Place, map_floats, place_of
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
    result = run_module("lookalike.index.serving", json.dumps(task))
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


def process_memory() -> tuple[int, int] | None:
    """Anonymous and file-backed bytes that this process holds now; None where there is no ``/proc``."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {
        name: int(size.split()[0]) * 1024
        for name, _, size in (line.partition(":") for line in lines)
        if name.startswith("Rss")
    }
    return sizes["RssAnon"], sizes["RssFile"]


def serve_here(task: dict[str, Any]) -> dict[str, int | None]:
    """Return the facts of one task of :func:`_measure`; in the child."""
    import faiss

    with threads(1):
        faiss.knn(np.zeros((32, 8), np.float32), np.zeros((32, 8), np.float32), 1)  # BLAS takes its buffers
        before = process_memory()
        searcher: FaissSearcher | BruteForceSearcher
        if task["index"] is not None:
            searcher = FaissSearcher.read(Path(task["index"]), task["mmap"])
        else:
            shards = [map_floats(Place(Path(file), at), shape) for file, at, shape in task["vectors"]]
            searcher = BruteForceSearcher(shards, task["metric"])
        search = searcher.prepare(task["k"], task["settings"])
        for query in np.load(task["queries"]):
            search(query[None])
        after = process_memory()
    if before is None or after is None:
        return dict.fromkeys(("serving_memory_bytes", "anonymous_bytes", "file_backed_bytes"))
    anonymous, file_backed = (max(0, now - then) for now, then in zip(after, before, strict=True))
    return {
        "serving_memory_bytes": anonymous + file_backed,
        "anonymous_bytes": anonymous,
        "file_backed_bytes": file_backed,
    }


if __name__ == "__main__":
    print(json.dumps(serve_here(json.loads(sys.argv[1]))))
