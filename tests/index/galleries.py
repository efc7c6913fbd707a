"""A small gallery with clusters, and one config of every family that fits it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lookalike import schemas
from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.exact import Floats

D = 16


def clustered(n: int, seed: int = 0, d: int = D) -> Floats:
    """Unit vectors around 20 centres; no two are equal."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, d))
    vectors = centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sharded(array: Floats, *bounds: int, key: str = "test") -> Embeddings:
    """The same vectors cut into shards at ``bounds``."""
    whole = Embeddings.from_array(array, key=key)
    shards = tuple(np.split(array, bounds))
    return Embeddings(shards, whole.ids, whole.kept, tuple(f"{key}{i}" for i in range(len(shards))), D)


def families(metric: str = "l2") -> list[schemas.Index]:
    """Each exact or nearly so at the settings in ``point``."""
    common: dict[str, Any] = {"metric": metric, "threads": 1}
    lists = {**common, "point": {"nprobe": 8}}
    refined = {**common, "point": {"nprobe": 8, "k_factor": 8}}
    return [
        schemas.BruteForceIndex(**common),
        schemas.FlatIndex(**common),
        schemas.IvfFlatIndex(nlist=8, **lists),
        schemas.IvfSq8Index(nlist=8, **lists),
        schemas.IvfPqIndex(nlist=8, pq_m=8, pq_bits=6, **lists),
        schemas.IvfPqFastscanRefineIndex(nlist=8, pq_m=8, **refined),
        schemas.OpqIvfPqIndex(nlist=8, pq_m=8, pq_bits=6, **lists),
        schemas.HnswIndex(hnsw_m=16, **{**common, "point": {"ef_search": 128}}),
        schemas.IvfRabitqIndex(nlist=8, **refined),
        schemas.FactoryIndex(
            factory="PCA12,IVF8_HNSW8,SQ8,RFlat",
            **{**common, "point": {"nprobe": 8, "ef_search": 64, "k_factor": 8}},
        ),
    ]
