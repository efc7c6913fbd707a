"""A small model whose vectors are known, and images for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.errors import ImageError
from lookalike.store.store import Store


class Grey:
    """A model whose vector is (grey value + 1, 1, 2), which counts its forward passes."""

    name = "grey"

    def __init__(self, fail_after: float = np.inf, factor: float = 1.0, device: str = "cpu") -> None:
        self.images = 0
        self.loads = 0
        self.fail_after, self.factor, self.device = fail_after, factor, device

    def image_recipe(self, store: Store) -> dict[str, Any]:
        return {"model": "grey", "factor": self.factor}

    def text_recipe(self, store: Store) -> dict[str, Any]:
        return {"model": "grey", "tower": "text"}

    def faults(self, texts: bool = False) -> list[str]:
        return []

    def fetch(self, progress: Any = None) -> None: ...

    def load(self) -> GreyEncoder:
        self.loads += 1
        return GreyEncoder(self)


class GreyEncoder:
    dim = 3

    def __init__(self, model: Grey) -> None:
        self.model = model

    def preprocess(self, image: Image.Image) -> float:
        return float(np.asarray(image)[0, 0, 0])

    def encode_images(self, batch: Sequence[float]) -> np.ndarray:
        if self.model.images + len(batch) > self.model.fail_after:
            raise KeyboardInterrupt
        self.model.images += len(batch)
        vectors = [[self.model.factor * (value + 1), 1, 2] for value in batch]
        return np.array(vectors, np.float32).reshape(-1, 3)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), 1, 2] for text in texts], np.float32)

    def pick_batch_size(self, sample: Sequence[Any]) -> int:
        return 7

    def facts(self) -> dict[str, Any]:
        return {"device": self.model.device}


def grey_images(values: Sequence[int], bad: Sequence[int] = (), **changes: Any) -> ImageSet:
    """One image per value, its id and fingerprint made of the value; ``bad`` values cannot be decoded."""

    def load(row: int) -> Image.Image:
        if values[row] in bad:
            raise ImageError("truncated")
        return Image.new("RGB", (1, 1), (values[row] % 256,) * 3)

    names = [f"{value:05}.png" for value in values]
    return ImageSet(
        ids=names,
        fingerprints=[f"f{value}" for value in values],
        locations=[f"/images/{name}" for name in names],
        load=load,
        **changes,
    )


def expected(values: Sequence[int]) -> np.ndarray:
    vectors = np.array([[value % 256 + 1, 1, 2] for value in values], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embed(store: Store, images: ImageSet, model: Grey | None = None, **options: Any) -> Embeddings:
    return Embedder(model or Grey(), store, **options).embed(images)
