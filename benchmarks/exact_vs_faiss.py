"""How fast exact neighbours are found when the gallery is streamed from disk in shards.

The baseline is one `faiss.knn` call with gallery and queries in memory, the same k and the same threads: all
that it does is search. Ours reads memory-mapped shards, keeps spare candidates, scores them again one by one,
sorts ties by row, proves that nothing is missing and publishes the result in a store. The ratio is the median
of faiss seconds / our seconds over the rounds: 1 is as fast, the goal is at least 0.95. Both read files that
the system has in its cache; vectors are those of dataset=synthetic.

    python benchmarks/exact_vs_faiss.py [--size tiny|small|full]

tiny: 2,000 × 32 and 20 queries; small: 500,000 × 768 and 500 queries (2 GB of memory and of disk); full:
1,000,000 × 768 and 1,000 queries (4 GB of each). Shards hold 100,000 rows, as they do unless told otherwise.
"""

from __future__ import annotations

import time
from pathlib import Path

import faiss
import numpy as np

from harness import alternate, chosen_size, conclude, median, rounded, workplace
from lookalike.datasets import open_dataset
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.evaluate.exact import exact_neighbours
from lookalike.machine.environment import threads
from lookalike.queries import plan_queries
from lookalike.schemas import HeldOutQueries, PixelsModel, SyntheticDataset
from lookalike.store.store import Store

ROWS = {"tiny": 2_000, "small": 500_000, "full": 1_000_000}
DIM = {"tiny": 32, "small": 768, "full": 768}
QUERIES = {"tiny": 20, "small": 500, "full": 1_000}
DEPTH = 120
"""k = 100 and the 20 more that a run keeps."""
ROUNDS = {"tiny": 1, "small": 3, "full": 5}
GOAL = 0.95


def main() -> None:
    size = chosen_size(__doc__)
    with workplace() as folder, threads(None) as count:
        gallery, queries = embedded(folder, ROWS[size], DIM[size], QUERIES[size])
        in_memory = gallery.rows(np.arange(len(gallery)))
        asked = np.array(queries.matrix)
        runs = iter(range(1_000))

        def ours() -> float:
            store = Store(folder / f"exact-{next(runs)}")
            start = time.perf_counter()
            exact_neighbours(gallery, queries, "l2", DEPTH, store)
            return time.perf_counter() - start

        def theirs() -> float:
            start = time.perf_counter()
            faiss.knn(asked, in_memory, DEPTH)
            return time.perf_counter() - start

        ours(), theirs()  # files and libraries are warm in every round that counts
        our_seconds, faiss_seconds = alternate(ROUNDS[size], ours, theirs)
    conclude(
        "exact_vs_faiss",
        size,
        median([bare / full for bare, full in zip(faiss_seconds, our_seconds, strict=True)]),
        GOAL,
        baseline="the speed of one faiss.knn call",
        at_least=True,
        rows=ROWS[size],
        dim=DIM[size],
        queries=QUERIES[size],
        threads=count,
        seconds=rounded(our_seconds),
        faiss_seconds=rounded(faiss_seconds),
    )


def embedded(folder: Path, rows: int, dim: int, queries: int) -> tuple[Embeddings, Embeddings]:
    """A gallery of ``rows`` made-up vectors in shards on disk, and held-out queries."""
    config = SyntheticDataset(n=rows + queries, dim=dim)
    plan = plan_queries(HeldOutQueries(n=queries), open_dataset(config))
    embedder = Embedder(open_model(PixelsModel()), Store(folder / "store"))
    return embedder.embed(plan.gallery), embedder.embed(plan.queries, "queries")


if __name__ == "__main__":
    main()
