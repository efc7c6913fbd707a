"""One stage over a gallery of some size, in this process; prints the peaks of its memory as JSON.

    python benchmarks/memory_of_stage.py embedding|exact ROWS SHARD_SIZE FOLDER

What `exact` searches is made by a process of its own, so that nothing of the making is counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from pathlib import Path

import numpy as np
from PIL import Image

from lookalike.datasets import open_dataset
from lookalike.datasets.ids import RowNumbers
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.evaluate.exact import exact_neighbours
from lookalike.machine.environment import MemoryMeter
from lookalike.queries import plan_queries
from lookalike.schemas import InGalleryQueries, PixelsModel, SyntheticDataset
from lookalike.store.store import Store

DIM = 128
QUERIES = 200
DEPTH = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("embedding", "exact"))
    parser.add_argument("rows", type=int)
    parser.add_argument("shard_size", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.stage == "exact":
        maker = multiprocessing.get_context("spawn").Process(
            target=embedded_vectors, args=(given.folder, given.rows, given.shard_size)
        )
        maker.start()
        maker.join()
        gallery, queries = embedded_vectors(given.folder, given.rows, given.shard_size)
        with MemoryMeter() as memory:
            exact_neighbours(gallery, queries, "l2", DEPTH, Store(given.folder))
    else:
        images = painted(given.rows, given.shard_size)
        with MemoryMeter() as memory:
            Embedder(open_model(PixelsModel()), Store(given.folder)).embed(images)
    print(json.dumps(memory.as_dict()))


def embedded_vectors(folder: Path, rows: int, shard_size: int) -> tuple[Embeddings, Embeddings]:
    """Made-up vectors in shards on disk, and some of them as queries; reused when they are there."""
    config = SyntheticDataset(n=rows, dim=DIM, shard_size=shard_size)
    plan = plan_queries(InGalleryQueries(n=QUERIES), open_dataset(config))
    embedder = Embedder(open_model(PixelsModel()), Store(folder))
    return embedder.embed(plan.gallery), embedder.embed(plan.queries, "queries")


def painted(rows: int, shard_size: int) -> ImageSet:
    """As many images of 32 × 32 px, each painted when it is loaded."""
    names = RowNumbers(rows)

    def paint(row: int) -> Image.Image:
        pixels = np.random.default_rng(row).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return ImageSet(names, names, names, paint, shard_size=shard_size)


if __name__ == "__main__":
    main()
