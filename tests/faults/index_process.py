"""A process that finds exact neighbours and builds an index: what the tests beside this file kill.

    python -m tests.faults.index_process STORE VECTORS one-go|apart [GATE]

It says `ready` before it begins, then everything that a user would be told, the name of each bar too, and in
the end one line of JSON. With GATE, a bar that begins with "indexing" waits until that file exists.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lookalike.embed.embeddings import Embeddings
from lookalike.errors import UserError
from lookalike.evaluate.exact import exact_neighbours
from lookalike.index.build import build_index
from lookalike.index.families.ivf_sq8 import IvfSq8Index
from lookalike.progress import Bar, Progress
from lookalike.store.store import Store

SHARD_ROWS = 4_500
QUERIES = 300


class Telling(Progress):
    """Tells what a user is told on standard output, and stops where a bar begins."""

    def __init__(self, gate: Path | None) -> None:
        self.gate = gate

    def say(self, line: str) -> None:
        print(line, flush=True)

    def warn(self, line: str) -> None:
        print(f"warning: {line}", flush=True)

    @contextmanager
    def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
        print(f"bar: {description}", flush=True)
        while description.startswith("indexing") and self.gate is not None and not self.gate.exists():
            time.sleep(0.01)
        yield Bar()


def main() -> None:
    """Build everything and tell what it is."""
    store_folder, file, way, *gate = sys.argv[1:]
    vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    shards = tuple(vectors[start : start + SHARD_ROWS] for start in range(0, len(vectors), SHARD_ROWS))
    keys = tuple(f"shard-{number}" for number in range(len(shards)))
    ids = [str(row) for row in range(len(vectors))]
    gallery = Embeddings(shards, ids, np.arange(len(vectors)), keys, vectors.shape[1])
    queries = Embeddings.from_array(np.array(vectors[:QUERIES]), key="queries")
    progress = Telling(Path(gate[0]) if gate else None)
    config = IvfSq8Index(nlist=64, threads=1, shards_apart=way == "apart")
    print("ready", flush=True)
    try:
        store = Store(Path(store_folder), progress=progress)
        _, exact = exact_neighbours(gallery, queries, "l2", 30, store, progress=progress)
        built = build_index(config, gallery, store, progress)
    except UserError as error:
        print(f"error: {error}", flush=True)
        sys.exit(2)
    assert built.index is not None
    made = {"exact": exact, "index": built.index}
    print(
        json.dumps(
            {
                kind: {
                    "path": str(artifact.path),
                    "reused": artifact.reused,
                    "reason": artifact.reason,
                    "files": {name: entry["sha256"] for name, entry in artifact.manifest["files"].items()},
                }
                for kind, artifact in made.items()
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
