"""Small datasets in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.queries.plan import QueryPlan


def images(
    n: int = 10,
    labels: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
    captions: Sequence[str | None] | None = None,
) -> ImageSet:
    """Images ``00.png``, ``01.png``, … of 32 × 24 px, each with its own noise."""

    def load(row: int) -> Image.Image:
        noise = np.random.default_rng(row).integers(0, 256, size=(24, 32, 3), dtype=np.uint8)
        return Image.fromarray(noise)

    return ImageSet(
        ids=[f"{row:02}.png" for row in range(n)],
        fingerprints=[f"print {row}" for row in range(n)],
        locations=[f"/photos/{row:02}.png" for row in range(n)],
        load=load,
        labels=labels,
        groups=groups,
        captions=captions,
    )


def vectors(n: int = 10, dim: int = 3, labels: Sequence[str | None] | None = None) -> VectorSet:
    """Vectors ``v0``, ``v1``, …"""
    array = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    return VectorSet([f"v{row}" for row in range(n)], [array], ["v.npy"], ["print"], labels=labels)


def relevant_ids(plan: QueryPlan) -> list[list[str]]:
    """What each query should find, whether the plan says it by ids or by class."""
    if plan.classes is None:
        assert plan.relevant_ids is not None
        return [list(ids) for ids in plan.relevant_ids]
    ignored = plan.ignored_ids or [()] * len(plan)
    gallery = list(zip(plan.gallery.ids, plan.classes.gallery, strict=True))
    return [
        [id_ for id_, other in gallery if other is not None and other == name and id_ not in junk]
        for name, junk in zip(plan.classes.queries, ignored, strict=True)
    ]
