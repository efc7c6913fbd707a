"""A finished sweep of three indexes over ready vectors, on disk: what is timed together afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lookalike.config.planning import plan
from lookalike.index.families.flat import FlatIndex
from lookalike.index.families.hnsw import HnswIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.run import run
from lookalike.runs.session import Session
from lookalike.schemas import (
    EmbeddingsDataset,
    Experiment,
    HeldOutQueries,
    Index,
    Measures,
    Paths,
    PixelsModel,
    Search,
    Tracking,
)
from lookalike.sweep.ledger import Ledger

INDEXES: dict[str, Index] = {
    "flat": FlatIndex(),
    "ivf": IvfFlatIndex(nlist=8, point={"nprobe": 1}),
    "hnsw": HnswIndex(point={"ef_search": 16}),
}
P50_MS = {"ivf": 1.0, "hnsw": 2.0, "flat": 3.0}


def experiment(root: Path, index: Index) -> Experiment:
    return Experiment(
        dataset=EmbeddingsDataset(root=str(root / "vectors")),
        model=PixelsModel(),
        queries=HeldOutQueries(n=20),
        index=index,
        search=Search(k=5, warm_up=1, repeats=2),
        measures=Measures(cutoffs=[1, 5], bootstrap=0),
        tracking=Tracking(kind="none"),
        paths=Paths(root=str(root)),
    )


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a sweep called ``mine`` whose jobs, ``flat``, ``ivf`` and ``hnsw``, are done."""
    root = tmp_path_factory.mktemp("measured")
    vectors = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    (root / "vectors").mkdir()
    np.save(root / "vectors/v.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    for name, index in INDEXES.items():
        composed = experiment(root, index)
        record = run(plan(composed), root / "multirun/mine" / name, Session(composed))
        for point in record.points:  # whatever else the machine does: all of them are on the front or near
            point.metrics["latency_single_p50_ms"] = P50_MS[name]
            point.latency["single"] |= {"p50_ms": P50_MS[name], "p50_ms_interval": [0.1, 10.0]}
        record.save(root / "multirun/mine" / name)
    Ledger("mine", "2026-11-30T12:00:00+00:00", ["-m"], directory=str(root)).save(root / "multirun/mine")
    return root


@pytest.fixture
def sweep(measured: Path, tmp_path: Path) -> Path:
    """The folder of a copy of that sweep, with a store of its own."""
    root = tmp_path / "root"
    shutil.copytree(measured, root, symlinks=True)
    return root / "multirun/mine"
