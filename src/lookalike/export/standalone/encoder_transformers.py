"""The run's model: a checkpoint of Hugging Face transformers, at the revision that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer


class Encoder:
    """Vectors as the run made them, before they are scaled to unit length."""

    def __init__(self, folder: Path, model: dict[str, Any]) -> None:
        self.settings = model
        source = folder / "model" if model["copied"] else model["name_or_path"]
        found = {} if model["copied"] else {"revision": model["revision"]}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = getattr(torch, model["dtype"])
        self.processor = AutoImageProcessor.from_pretrained(source, backend="pil", **found)
        loaded = AutoModel.from_pretrained(source, dtype=self.dtype, use_safetensors=True, **found)
        self.model = loaded.to(self.device).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(source, **found) if model["text_padding"] else None

    @torch.inference_mode()
    def encode_image(self, image: Image.Image) -> Any:
        """Float32, shape (1, d)."""
        inputs = self.processor(images=image, return_tensors="pt").to(self.device)
        inputs = {
            name: value.to(self.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
        }
        if self.settings["pooling"] == "projection":
            return to_numpy(self.model.get_image_features(**inputs).pooler_output)
        tower = getattr(self.model, "vision_model", self.model)
        return to_numpy(pool(tower(**inputs), self.settings["pooling"], inputs.get("pixel_attention_mask")))

    @torch.inference_mode()
    def encode_text(self, caption: str) -> Any:
        """Float32, shape (1, d)."""
        if self.tokenizer is None:
            raise SystemExit(f"{caption}: no such image, and this model reads no captions")
        tokens = self.tokenizer(
            [caption],
            padding=self.settings["text_padding"],
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        return to_numpy(self.model.get_text_features(**tokens.to(self.device)).pooler_output)


def pool(output: Any, pooling: str, mask: Any) -> Any:
    """One vector of a vision model's output; ``mask`` marks the patches that are not padding."""
    if pooling == "pooler":
        return output.pooler_output.flatten(1)
    tokens = output.last_hidden_state
    if tokens.ndim == 4:  # a convolutional network: (n, channels, height, width)
        tokens = tokens.flatten(2).transpose(1, 2)
    if pooling == "cls":
        return tokens[:, 0]
    if mask is None:
        return tokens.mean(1)
    weights = mask[..., None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)


def to_numpy(vectors: Any) -> Any:
    """Float32 on the CPU."""
    return vectors.float().cpu().numpy()
