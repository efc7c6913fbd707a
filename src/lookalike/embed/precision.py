"""What a lower precision costs: how many of the top 10 neighbours it keeps of those float32 finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.progress import SILENT, Progress
from lookalike.schemas import Experiment
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

PRECISION_VERSION = 1
SAMPLE = 1000
TOP = 10


def kept_neighbours(
    experiment: Experiment,
    embedder: Embedder,
    gallery: ImageSet | VectorSet,
    store: Store,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """``kept_top10`` of the model's dtype on a seeded sample of up to 1,000 gallery images; {} for float32.

    The share of each image's ten nearest others by float32 vectors that are among its ten nearest by the
    opted-in dtype, averaged over the sample.
    """
    model = experiment.model
    if model.dtype == "float32" or isinstance(gallery, VectorSet):
        return {}
    chosen = np.random.default_rng(0).choice(len(gallery), min(SAMPLE, len(gallery)), replace=False)
    sample = gallery.take(np.sort(chosen).tolist())
    lower = embedder.embed(sample)
    full = replace(model, dtype="float32")
    reference = Embedder.of(open_model(full), full, store, progress).embed(sample)
    recipe = Recipe(
        "precision", PRECISION_VERSION, {"top": TOP}, {"lower": lower.key, "reference": reference.key}
    )

    def build(_: Path) -> dict[str, Any]:
        return {"kept_top10": share_kept(lower, reference), "sample": len(sample)}

    facts = store.obtain(recipe, build).facts
    progress.say(
        f"{model.dtype} keeps {facts['kept_top10']:.1%} of the top {TOP} neighbours that float32 finds"
    )
    return {"kept_top10": facts["kept_top10"], "kept_top10_sample": facts["sample"]}


def share_kept(lower: Embeddings, reference: Embeddings, top: int = TOP) -> float:
    """Mean share of each row's ``top`` nearest others in ``reference`` that ``lower`` finds as well."""

    def nearest(embeddings: Embeddings) -> np.ndarray:
        similarity = embeddings.matrix @ embeddings.matrix.T
        np.fill_diagonal(similarity, -np.inf)
        return np.argsort(-similarity, axis=1, kind="stable")[:, : min(top, len(similarity) - 1)]

    pairs = zip(nearest(lower), nearest(reference), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in pairs])) if len(lower) > 1 else 1.0
