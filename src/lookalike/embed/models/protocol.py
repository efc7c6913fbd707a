"""What the rest of Lookalike knows of a model: a light handle describes it, a heavy encoder runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lookalike.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.store.store import Store


class Encoder(Protocol):
    """A model in memory, ready to turn images (and captions, if it can) into vectors."""

    dim: int
    """Length of every vector."""

    def preprocess(self, image: Image) -> Any:
        """Prepare one decoded RGB image for :meth:`encode_images`; called from several threads at once."""

    def encode_images(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Vectors of preprocessed images: float32, shape (n, dim), row for row, not normalised.

        A row does not depend on what else is in the batch (in float32: to a relative 1e-5).
        """

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts: float32, shape (n, dim), not normalised; ModelError without a text tower."""

    def pick_batch_size(self, sample: Sequence[Any]) -> int:
        """The batch size, of a few, that encodes most images a second: tried for at most a few seconds."""

    def facts(self) -> dict[str, Any]:
        """What ran it: device, dtype, library versions. For the record; never part of a key."""


class EmbeddingModel(Protocol):
    """A model as configured; cheap to make and to ask, torch is imported by :meth:`load` alone."""

    name: str

    def image_recipe(self, store: Store) -> dict[str, Any]:
        """All that shapes an image embedding, as JSON values; ModelError when weights are missing."""

    def text_recipe(self, store: Store) -> dict[str, Any]:
        """All that shapes a text embedding, as JSON values; ModelError when there is no text tower."""

    def faults(self, texts: bool = False) -> list[str]:
        """Why this model cannot run, as far as can be told without loading it; empty when it can.

        ``texts``: captions are to be embedded as well.
        """

    def known_dim(self) -> int | None:
        """Length of every vector where it is known without loading the model; else None."""

    def load(self) -> Encoder:
        """Bring the model into memory; ModelError when it or its device is not there."""

    def fetch(self, progress: Progress = SILENT) -> None:
        """Download what is missing; ModelError when that fails."""


def no_text_tower(name: str) -> str:
    """The fault of asking a model for captions that only sees images."""
    return (
        f"model={name} has no text tower, so it embeds no captions; use one that has: model=siglip_base, say"
    )
