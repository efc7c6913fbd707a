"""Names of operating points: a stable key of what is tried, and a label that a person tells it apart by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from lookalike import schemas
from lookalike.evaluate.points import Point
from lookalike.index.families.factory import FactoryIndex
from lookalike.schemas import CaptionsQueries, EmbeddingsDataset, Experiment, SyntheticDataset, VectorDataset

UNTIMED = ("k", "ladder", "nprobe", "ef_search", "k_factor", "encoding")
"""Fields of ``search`` that the point itself carries, or that change nothing of its search."""
LAYOUT = ("shard_size", "shards")
"""Fields of ``dataset`` that say in which portions it is embedded."""
TELLING = ("nlist", "pq_m", "hnsw_m")
"""Index settings that a label always shows; others only when they are not the family's usual value."""
AS_FILES_SAY = "as the files say"
"""In place of ``dataset.normalize=null``, which up to 0.1.0 scaled vectors whose files say nothing: that was
another trial.
"""
WORKERS = ("device", "batch_size", "workers")
"""Fields of ``model`` that change how fast an embedding is made, not what it is."""


def index_settings(index: schemas.Index) -> dict[str, Any]:
    """What shapes this index and no other family has: ``{"nlist": 64}``."""
    common = {field.name for field in fields(schemas.Index)}
    return {name: value for name, value in asdict(index).items() if name not in common and value is not None}


def point_label(index: schemas.Index, point: Point) -> str:
    """``ivf_flat nlist=64 nprobe=8``; a factory string stands for itself."""
    if isinstance(index, FactoryIndex):
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
    """The model's name with what it does otherwise, or that the vectors came ready or were made up."""
    if isinstance(experiment.dataset, SyntheticDataset):
        return "synthetic vectors"
    if isinstance(experiment.dataset, VectorDataset):
        return "ready vectors"
    return ", ".join([experiment.model.name, *_departures(experiment.model)])


def run_name(experiment: Experiment) -> str:
    """What a run without a name of its own is called: ``twemoji efficientnet_lite0 ivf_flat``."""
    dataset, by = experiment.dataset.name, embedded_by(experiment)
    words = [by] if by.startswith(dataset) else [dataset, by]
    return " ".join([*words, experiment.index.family])


def _departures(model: schemas.Model) -> Iterator[str]:
    """What a model does otherwise than it should."""
    if isinstance(model, schemas.TransformersModel) and model.preprocess != "checkpoint":
        yield f"preprocess={model.preprocess}"
    if not model.normalize:
        yield "not normalised"


def point_id(experiment: Experiment, point: Point) -> str:
    """16 hex characters: the same for whatever would measure the same point in the same way.

    Where results go, what they are called and how fast embeddings are made do not matter; neither do
    search settings that the index does not have.
    """
    search = {name: value for name, value in asdict(experiment.search).items() if name not in UNTIMED}
    index = {
        name: value for name, value in asdict(experiment.index).items() if name not in ("point", "ladder")
    }
    tried = {
        **_gallery(experiment),
        "index": index,
        "search": search,
        "measures": asdict(experiment.measures),
        "point": point.as_dict(),
    }
    return _hash(tried)


def shards_label(numbers: Sequence[int]) -> str:
    """``shards 0, 1``."""
    return f"{'shard' if len(numbers) == 1 else 'shards'} {', '.join(map(str, numbers))}"


def shards_id(experiment: Experiment) -> str:
    """As :func:`point_id`, of embedding ``dataset.shards``: the same whatever the index and search."""
    layout = {name: getattr(experiment.dataset, name) for name in LAYOUT}
    return _hash({**_gallery(experiment), "layout": layout})


def _gallery(experiment: Experiment) -> dict[str, Any]:
    """What is embedded, and by what."""
    model: dict[str, Any] = {}
    texts = isinstance(experiment.queries, CaptionsQueries)
    if texts or not isinstance(experiment.dataset, VectorDataset):
        model = {name: value for name, value in asdict(experiment.model).items() if name not in WORKERS}
    dataset = {k: v for k, v in asdict(experiment.dataset).items() if k not in LAYOUT}
    if isinstance(experiment.dataset, EmbeddingsDataset) and experiment.dataset.normalize is None:
        dataset["normalize"] = AS_FILES_SAY
    return {
        "dataset": dataset,
        "model": model,
        "queries": asdict(experiment.queries),
    }


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
