"""What a model needs to embed queries elsewhere: its settings as JSON values, and files beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike import schemas
from lookalike.embed import models
from lookalike.embed.models.checkpoint import Checkpoint, is_hub_id
from lookalike.embed.models.efficientnet_lite0 import MARGIN, SIDE, installed_weights
from lookalike.embed.models.transformers_model import FETCHED, TWO_TOWERS, text_padding
from lookalike.errors import ModelError

STANDALONE = Path(__file__).parent / "standalone"
LITE0_WEIGHTS = "weights.pth"


@dataclass(frozen=True)
class ModelFiles:
    """One model, ready to be written."""

    settings: Mapping[str, Any]
    """What ``encoder.py`` reads of export.json."""
    files: Mapping[str, Path]
    """Name in the exported folder -> file that is copied there."""
    packages: tuple[str, ...]
    """What ``encoder.py`` imports, as pip calls it."""


def model_files(config: schemas.Model, recipe: Mapping[str, Any], copy_weights: bool) -> ModelFiles:
    """Return how ``config`` embeds, with ``recipe`` for all that it resolved itself.

    ``copy_weights``: bring a checkpoint's files along instead of naming where they are; the weights of
    EfficientNet-Lite0 always come along.
    """
    describe: Callable[..., ModelFiles] = FAMILIES[type(config)]
    return describe(config, recipe, copy_weights)


def _pixels(config: schemas.PixelsModel, recipe: Mapping[str, Any], copy_weights: bool) -> ModelFiles:
    encoder = {"encoder.py": STANDALONE / "encoder_pixels.py"}
    return ModelFiles({"name": config.name, **recipe}, encoder, ())


def _lite0(
    config: schemas.EfficientNetLite0Model, recipe: Mapping[str, Any], copy_weights: bool
) -> ModelFiles:
    files = {
        "encoder.py": STANDALONE / "encoder_lite0.py",
        "lite0_network.py": Path(models.__file__).parent / "lite0_network.py",
        LITE0_WEIGHTS: installed_weights(),
    }
    own = {"side": SIDE, "margin": MARGIN, "weights_file": LITE0_WEIGHTS}
    return ModelFiles({"name": config.name, **recipe, **own}, files, ("torch",))


def _transformers(
    config: schemas.TransformersModel, recipe: Mapping[str, Any], copy_weights: bool
) -> ModelFiles:
    if config.preprocess != "checkpoint":
        raise ModelError(
            f"model.preprocess={config.preprocess} is a mistake that is there to be measured; export a run "
            "with the checkpoint's own preprocessing"
        )
    checkpoint = Checkpoint.find(config.name_or_path, config.revision, f"fetch model={config.name} again")
    files = {"encoder.py": STANDALONE / "encoder_transformers.py"}
    if copy_weights:
        parts = {file for pattern in FETCHED for file in checkpoint.folder.glob(pattern)}
        files |= {f"model/{file.name}": file for file in sorted(parts)}
    from_hub = is_hub_id(config.name_or_path) and not Path(config.name_or_path).expanduser().is_dir()
    own = {
        "name_or_path": config.name_or_path if from_hub else str(checkpoint.folder.resolve()),
        "revision": checkpoint.folder.name if from_hub else None,
        "copied": copy_weights,
        "text_padding": text_padding(checkpoint.model_type) if checkpoint.model_type in TWO_TOWERS else None,
    }
    return ModelFiles({"name": config.name, **recipe, **own}, files, ("torch", "transformers"))


FAMILIES: Mapping[type[schemas.Model], Callable[..., ModelFiles]] = {
    schemas.PixelsModel: _pixels,
    schemas.EfficientNetLite0Model: _lite0,
    schemas.TransformersModel: _transformers,
}


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy each file to its name below ``folder``; links become files."""
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
