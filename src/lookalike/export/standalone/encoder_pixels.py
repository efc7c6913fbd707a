"""The run's model: the image itself, scaled to a few pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


class Encoder:
    """Vectors as the run made them, before they are scaled to unit length."""

    def __init__(self, folder: Path, model: dict[str, Any]) -> None:
        self.side = int(model["side"])

    def encode_image(self, image: Image.Image) -> Any:
        """Float32, shape (1, d)."""
        pixels = np.asarray(image.resize((self.side, self.side), Image.Resampling.BOX), np.float32)
        return pixels.reshape(1, -1) / np.float32(127.5) - np.float32(1)

    def encode_text(self, caption: str) -> Any:
        """There is no text tower."""
        raise SystemExit(f"{caption}: no such image, and this model reads no captions")
