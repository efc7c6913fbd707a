"""Every index family through a whole run, with all that its record has to tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike import schemas
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
from lookalike.schemas import EmbeddingsDataset, InGalleryQueries, Search
from tests.pipeline.conftest import RunOf

FAMILIES = [
    BruteForceIndex(),
    FlatIndex(),
    IvfFlatIndex(nlist=4),
    IvfSq8Index(nlist=4),
    IvfPqIndex(nlist=4, pq_m=16, pq_bits=4),
    IvfPqFastscanRefineIndex(nlist=4, pq_m=96),
    OpqIvfPqIndex(nlist=4, pq_m=16, pq_bits=4, opq_d=64),
    HnswIndex(hnsw_m=8),
    IvfRabitqIndex(nlist=4),
    FactoryIndex(factory="PCA16,IVF4,Flat"),
]
EXACT = ("brute_force", "flat")


@pytest.mark.parametrize("index", FAMILIES, ids=lambda index: index.family)
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_a_family_is_built_searched_and_measured(
    run_of: RunOf, tmp_path: Path, index: schemas.Index, metric: str
) -> None:
    index.metric = metric
    generator = np.random.default_rng(5)
    centres = generator.standard_normal((6, 96))
    vectors = centres[generator.integers(6, size=400)] + 0.5 * generator.standard_normal((400, 96))
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float32))
    record = run_of(
        dataset=EmbeddingsDataset(root=str(tmp_path / "vectors.npy")),
        index=index,
        queries=InGalleryQueries(n=40),
        search=Search(k=10, warm_up=1, repeats=1, modes=["single", "batch", "saturated"]),
    )
    (point,) = record.points
    recall = point.curves["knn_recall"]["10"]
    assert recall == 1 if index.family in EXACT else 0.2 < recall <= 1
    assert {"qps_single", "qps_batch", "qps_saturated", "latency_single_p50_ms"} <= set(point.metrics)
    assert point.metrics["index_bytes"] > 0 and point.metrics["serving_memory_bytes"] > 0
    assert record.index["metric"] == metric
    assert point.label.startswith("PCA16,IVF4,Flat" if index.family == "factory" else index.family)
