"""The image itself as its vector: the baseline that any model has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lookalike.embed.models.protocol import no_text_tower
from lookalike.errors import ModelError
from lookalike.progress import SILENT, Progress
from lookalike.schemas.fields import field_faults

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike import schemas
    from lookalike.store.store import Store


class Pixels:
    """The image scaled to ``side`` × ``side`` RGB by averaging, its bytes mapped to −1 … 1."""

    def __init__(self, config: schemas.PixelsModel) -> None:
        self.name = config.name
        self.config = config

    def image_recipe(self, store: Store) -> dict[str, Any]:
        return {"family": "pixels", "side": self.config.side, "normalize": self.config.normalize}

    def text_recipe(self, store: Store) -> dict[str, Any]:
        raise ModelError(no_text_tower(self.name))

    def faults(self, texts: bool = False) -> list[str]:
        faults = field_faults(self.config, "model")
        if texts:
            faults.append(no_text_tower(self.name))
        return faults

    def known_dim(self) -> int:
        return 3 * self.config.side**2

    def load(self) -> PixelsEncoder:
        for fault in self.faults():
            raise ModelError(fault)
        return PixelsEncoder(self.name, self.config.side)

    def fetch(self, progress: Progress = SILENT) -> None:
        progress.say(f"model={self.name} has no weights: nothing to fetch")


class PixelsEncoder:
    """Runs on numpy; a vector is never zero, because no byte is mapped to 0."""

    def __init__(self, name: str, side: int) -> None:
        self.name = name
        self.side = side
        self.dim = 3 * side * side

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        return np.asarray(image.resize((self.side, self.side), Image.Resampling.BOX))

    def encode_images(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        rows = np.array(batch, dtype=np.float32).reshape(len(batch), self.dim)
        return rows / np.float32(127.5) - np.float32(1)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelError(no_text_tower(self.name))

    def pick_batch_size(self, sample: Sequence[NDArray[np.uint8]]) -> int:
        return 64  # a multiplication a byte: any size will do

    def facts(self) -> dict[str, Any]:
        return {"device": "cpu", "dtype": "float32", "numpy": np.__version__}
