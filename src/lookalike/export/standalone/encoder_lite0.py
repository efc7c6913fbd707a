"""The run's model: EfficientNet-Lite0, the layer before its ImageNet classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lite0_network import Lite0Network
from PIL import Image


class Encoder:
    """Vectors as the run made them, before they are scaled to unit length."""

    def __init__(self, folder: Path, model: dict[str, Any]) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = Lite0Network(folder / model["weights_file"], device, model["dtype"])
        self.side, self.margin = int(model["side"]), int(model["margin"])

    def encode_image(self, image: Image.Image) -> Any:
        """Float32, shape (1, 1280)."""
        width, height = image.size
        side = max(1, int(min(width, height) * self.side / (self.side + self.margin)))
        left, top = (width - side + 1) // 2, (height - side + 1) // 2
        crop = image.crop((left, top, left + side, top + side))
        pixels = np.array(crop.resize((self.side, self.side), Image.Resampling.BICUBIC))
        return self.network.features(pixels[None])

    def encode_text(self, caption: str) -> Any:
        """There is no text tower."""
        raise SystemExit(f"{caption}: no such image, and this model reads no captions")
