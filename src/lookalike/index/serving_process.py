"""The fresh process behind :mod:`lookalike.index.serving`: load, search, print the memory it took as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lookalike.index.brute_force import BruteForceSearcher
from lookalike.index.searchers import FaissSearcher
from lookalike.machine.environment import threads
from lookalike.machine.mapping import Place, map_floats


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


def main(task: dict[str, Any]) -> dict[str, int | None]:
    """Facts of one task, see ``serving._measure``."""
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
    print(json.dumps(main(json.loads(sys.argv[1]))))
