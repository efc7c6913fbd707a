"""Names of operating points: a stable key of what is tried, and a label that a person tells it apart by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

from lookalike import schemas
from lookalike.schemas import EmbeddingsDataset, Experiment
from lookalike.search import Point

UNTIMED = ("k", "ladder", "nprobe", "ef_search", "k_factor")
"""Fields of ``search`` that the point itself carries."""
TELLING = ("nlist", "pq_m", "hnsw_m")
"""Index settings that a label always shows; others only when they are not the family's usual value."""
WORKERS = ("device", "batch_size", "workers")
"""Fields of ``model`` that change how fast an embedding is made, not what it is."""


def index_settings(index: schemas.Index) -> dict[str, Any]:
    """What shapes this index and no other family has: ``{"nlist": 64}``."""
    common = {field.name for field in fields(schemas.Index)}
    return {name: value for name, value in asdict(index).items() if name not in common and value is not None}


def point_label(index: schemas.Index, point: Point) -> str:
    """``ivf_flat nlist=64 nprobe=8``; a factory string stands for itself."""
    if isinstance(index, schemas.FactoryIndex):
        parts = [index.factory]
    else:
        usual = {field.name: field.default for field in fields(index)}
        shown = {
            name: value
            for name, value in index_settings(index).items()
            if name in TELLING or value != usual.get(name)
        }
        parts = [index.family, *(f"{name}={value}" for name, value in shown.items())]
    return " ".join([*parts, point.label]).strip()


def embedded_by(experiment: Experiment) -> str:
    """The model's name, or that the vectors came ready."""
    ready = isinstance(experiment.dataset, EmbeddingsDataset)
    return "ready vectors" if ready else experiment.model.name


def trial_key(experiment: Experiment, point: Point) -> str:
    """16 hex characters: the same for whatever would measure the same point in the same way.

    Where results go, what they are called and how fast embeddings are made do not matter; neither do
    search settings that the index does not have.
    """
    search = {name: value for name, value in asdict(experiment.search).items() if name not in UNTIMED}
    index = {
        name: value for name, value in asdict(experiment.index).items() if name not in ("point", "ladder")
    }
    model: dict[str, Any] = {}
    if not isinstance(experiment.dataset, EmbeddingsDataset):
        model = {name: value for name, value in asdict(experiment.model).items() if name not in WORKERS}
    tried = {
        "dataset": {k: v for k, v in asdict(experiment.dataset).items() if k != "shard_size"},
        "model": model,
        "queries": asdict(experiment.queries),
        "index": index,
        "search": search,
        "measures": asdict(experiment.measures),
        "point": point.as_dict(),
    }
    return hashlib.sha256(json.dumps(tried, sort_keys=True, default=str).encode()).hexdigest()[:16]
