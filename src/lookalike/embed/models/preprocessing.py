"""What becomes of an image before a checkpoint sees it: its own processor's way, or a usual mistake.

The mistakes are there to be measured (``experiment=seed_paper_ablation``), never to be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lookalike.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPROCESSINGS = ("checkpoint", "border", "imagenet")
"""checkpoint: the checkpoint's own processor. border: the same, of an image that was put on a white square
before, as img2dataset's default resize does. imagenet: scaled, cropped and coloured as torchvision's examples
do for ImageNet, whatever the checkpoint was trained with."""

PREPROCESSING_VERSION = 1
"""Of border and imagenet; raised when they make other pixels of an image."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
MARGIN = 256 / 224
"""The shorter side is scaled to this many times the crop's."""


def check_preprocessing(preprocess: str, processor: Mapping[str, Any]) -> None:
    """Raise ModelError when a checkpoint with this ``processor`` config cannot be preprocessed so."""
    if preprocess == "imagenet" and image_side(processor) is None:
        raise ModelError(
            "model.preprocess=imagenet needs a checkpoint of square images of one size, which this is not; "
            "use model.preprocess=checkpoint"
        )


def image_side(processor: Mapping[str, Any]) -> int | None:
    """Pixels on a side of the square images that a ``processor`` config gives; None when they are others."""
    size = processor.get("crop_size") if processor.get("do_center_crop") else None
    size = size or processor.get("size")
    if isinstance(size, int):  # as older configs say it
        return size
    if isinstance(size, Mapping) and set(size) == {"height", "width"} and size["height"] == size["width"]:
        return int(size["height"])
    return None


def on_white_square(image: Image.Image) -> Image.Image:
    """The image in the middle of a white square of its longer side."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def imagenet_pixels(image: Image.Image, side: int) -> NDArray[np.float32]:
    """Shape (3, side, side): the shorter side scaled (bilinear), the middle cropped, ImageNet's colours."""
    scale = MARGIN * side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - side) // 2, (height - side) // 2
    crop = np.asarray(scaled.crop((left, top, left + side, top + side)), np.float32) / np.float32(255)
    return np.ascontiguousarray(((crop - MEAN) / DEVIATION).transpose(2, 0, 1))
