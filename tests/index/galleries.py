"""A small gallery with clusters, and one config of every family that fits it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lookalike import schemas
from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.exact import Floats
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.hnsw import HnswIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.families.ivf_pq import IvfPqIndex
from lookalike.index.families.ivf_pq_fastscan_refine import IvfPqFastscanRefineIndex
from lookalike.index.families.ivf_rabitq import IvfRabitqIndex
from lookalike.index.families.ivf_sq8 import IvfSq8Index
from lookalike.index.families.opq_ivf_pq import OpqIvfPqIndex

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
        BruteForceIndex(**common),
        FlatIndex(**common),
        IvfFlatIndex(nlist=8, **lists),
        IvfSq8Index(nlist=8, **lists),
        IvfPqIndex(nlist=8, pq_m=8, pq_bits=6, **lists),
        IvfPqFastscanRefineIndex(nlist=8, pq_m=8, **refined),
        OpqIvfPqIndex(nlist=8, pq_m=8, pq_bits=6, **lists),
        HnswIndex(hnsw_m=16, **{**common, "point": {"ef_search": 128}}),
        IvfRabitqIndex(nlist=8, **refined),
        FactoryIndex(
            factory="PCA12,IVF8_HNSW8,SQ8,RFlat",
            **{**common, "point": {"nprobe": 8, "ef_search": 64, "k_factor": 8}},
        ),
    ]
