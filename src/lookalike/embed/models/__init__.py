"""Embedding models: what turns images, and captions where there is a text tower, into vectors.

One module a family. Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike import schemas
from lookalike.embed.models.efficientnet_lite0 import EfficientNetLite0
from lookalike.embed.models.pixels import Pixels
from lookalike.embed.models.protocol import EmbeddingModel
from lookalike.embed.models.transformers_model import Transformers

FAMILIES: dict[type[schemas.Model], Callable[[Any], EmbeddingModel]] = {
    schemas.PixelsModel: Pixels,
    schemas.EfficientNetLite0Model: EfficientNetLite0,
    schemas.TransformersModel: Transformers,
}


def open_model(config: schemas.Model) -> EmbeddingModel:
    """The model that ``config`` describes; reads no file and imports nothing heavy."""
    return FAMILIES[type(config)](config)
