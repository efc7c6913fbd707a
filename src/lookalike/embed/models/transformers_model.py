"""Any image model of Hugging Face transformers, with the checkpoint's own preprocessing unless told so.

This module describes and fetches a checkpoint without importing torch or transformers;
``transformers_encoder`` runs it.
"""

from __future__ import annotations

import shlex
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.embed.models.checkpoint import (
    Checkpoint,
    cached_snapshot,
    discard_damaged,
    hub_cache,
    is_hub_id,
)
from lookalike.embed.models.compute import check_settings, pick_device
from lookalike.embed.models.preprocessing import PREPROCESSING_VERSION, check_preprocessing
from lookalike.embed.models.protocol import no_text_tower
from lookalike.errors import ModelError
from lookalike.progress import SILENT, Progress
from lookalike.schemas.fields import field_faults

if TYPE_CHECKING:
    from lookalike import schemas
    from lookalike.embed.models.transformers_encoder import TransformersEncoder
    from lookalike.store.store import Store

TWO_TOWERS = ("siglip", "siglip2", "clip", "metaclip_2", "chinese_clip", "altclip", "aimv2")
"""Architectures (config.json's model_type) that map images and texts into one space."""

AUTO_POOLING = {
    **dict.fromkeys(TWO_TOWERS, "projection"),
    **dict.fromkeys(("siglip_vision_model", "siglip2_vision_model", "clip_vision_model"), "pooler"),
    **dict.fromkeys(("dinov2", "dinov2_with_registers", "dinov3_vit", "vit", "deit"), "cls"),
    **dict.fromkeys(("resnet", "regnet", "convnext", "convnextv2", "dinov3_convnext"), "pooler"),
}
"""What ``pooling: auto`` means. For DINOv2 the class token, as in its paper's retrieval results."""

FETCHED = ("*.json", "*.txt", "*.model", "model*.safetensors")


class Transformers:
    """A checkpoint, by hub id or local folder.

    ``cache``: the hub's cache folder, if not its own choice. Files are read from there and never downloaded
    but by :meth:`fetch`, so that a run is the same online and offline.
    """

    def __init__(self, config: schemas.TransformersModel, cache: Path | None = None) -> None:
        self.name = config.name
        self.config = config
        self._cache = cache

    def image_recipe(self, store: Store) -> dict[str, Any]:
        checkpoint = self._checkpoint()
        return {
            **self._shared_recipe(checkpoint, store),
            "processor": {"backend": "pil", **checkpoint.processor, **self._other_preprocessing()},
            "pooling": self._pooling(checkpoint),
        }

    def text_recipe(self, store: Store) -> dict[str, Any]:
        checkpoint = self._checkpoint()
        if checkpoint.model_type not in TWO_TOWERS:
            raise ModelError(no_text_tower(self.name))
        return {
            **self._shared_recipe(checkpoint, store),
            "tokenizer": checkpoint.tokenizer_hashes(store),
            "padding": text_padding(checkpoint.model_type),
        }

    def faults(self, texts: bool = False) -> list[str]:
        faults = field_faults(self.config, "model")
        try:
            checkpoint = self._find()
            checkpoint.weights()
            self._pooling(checkpoint)
            check_preprocessing(self.config.preprocess, checkpoint.processor)
            if texts and checkpoint.model_type not in TWO_TOWERS:
                faults.append(no_text_tower(self.name))
        except ModelError as error:
            faults.append(str(error))
        return faults

    def known_dim(self) -> None:
        """The checkpoint's architecture would have to be made for it."""

    def load(self) -> TransformersEncoder:
        checkpoint = self._checkpoint()
        checkpoint.weights()
        pooling = self._pooling(checkpoint)
        check_preprocessing(self.config.preprocess, checkpoint.processor)
        device = pick_device(self.config.device)
        from lookalike.embed.models.transformers_encoder import TransformersEncoder

        return TransformersEncoder(
            self.name,
            checkpoint.folder,
            pooling=pooling,
            padding=text_padding(checkpoint.model_type) if checkpoint.model_type in TWO_TOWERS else None,
            device=device,
            dtype=self.config.dtype,
            preprocess=self.config.preprocess,
        )

    def fetch(self, progress: Progress = SILENT) -> None:
        """Download config, processor, tokenizer and safetensors weights into the hub's cache."""
        name = self.config.name_or_path
        if is_hub_id(name) and not Path(name).is_dir():
            progress.say(f"fetching {name} from the Hugging Face hub")
            self._download(name)
        checkpoint = self._find()
        size = sum(file.stat().st_size for file in checkpoint.weights())
        progress.say(f"model={self.name} is ready: {size / 1e6:,.0f} MB of weights in {checkpoint.folder}")

    def _download(self, hub_id: str) -> None:
        from huggingface_hub import snapshot_download

        snapshot = cached_snapshot(hub_id, self.config.revision or "main", self._cache or hub_cache())
        discard_damaged(snapshot)
        try:
            snapshot_download(
                hub_id,
                revision=self.config.revision,
                cache_dir=self._cache,
                allow_patterns=list(FETCHED),
                ignore_patterns=["*/*"],
            )
        except Exception as error:  # hub, HTTP and file errors share no base class
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{hub_id} could not be fetched ({reason}); check the name and the network, or copy its "
                "files from another machine and set model.name_or_path to their folder"
            ) from error

    def _find(self) -> Checkpoint:
        parts = [f"model={self.name}", f"model.name_or_path={self.config.name_or_path}"]
        if self.config.revision:
            parts.append(f"model.revision={self.config.revision}")
        cure = f"run `lookalike fetch {shlex.join(parts)}` while online"
        return Checkpoint.find(self.config.name_or_path, self.config.revision, cure, self._cache)

    def _checkpoint(self) -> Checkpoint:
        check_settings(self.config)
        return self._find()

    def _pooling(self, checkpoint: Checkpoint) -> str:
        """The pooling, ``auto`` resolved; ModelError when the model does not have it."""
        pooling, architecture = self.config.pooling, checkpoint.model_type
        if pooling == "auto" and architecture not in AUTO_POOLING:
            raise ModelError(
                f"model.pooling=auto does not know the architecture {architecture}; "
                "say which its authors use: pooler, cls or mean"
            )
        if pooling == "projection" and architecture not in TWO_TOWERS:
            raise ModelError(
                f"model.pooling=projection needs a model of images and texts, which {architecture} is not; "
                "set model.pooling to auto, pooler, cls or mean"
            )
        return AUTO_POOLING[architecture] if pooling == "auto" else pooling

    def _other_preprocessing(self) -> dict[str, Any]:
        """Nothing for the checkpoint's own: keys of before there was a choice stay as they are."""
        own = self.config.preprocess == "checkpoint"
        return {} if own else {"preprocess": self.config.preprocess, "version": PREPROCESSING_VERSION}

    def _shared_recipe(self, checkpoint: Checkpoint, store: Store) -> dict[str, Any]:
        return {
            "family": "transformers",
            "weights": checkpoint.weight_hashes(store),
            "architecture": checkpoint.architecture(),
            "transformers": ".".join(version("transformers").split(".")[:2]),
            "dtype": self.config.dtype,
            "normalize": self.config.normalize,
        }


def text_padding(model_type: str) -> str:
    """How the tokenizer pads: SigLIP learned from full-length, unmasked texts and needs them."""
    return "max_length" if model_type.startswith("siglip") else "longest"
