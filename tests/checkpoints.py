"""Tiny checkpoints with seeded random weights, saved as real ones are: model, processor, tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 32
"""Images come to the models at this many pixels a side."""

WORDS = ["a", "photo", "of", "cat", "dog", "red", "blue", "house", "two", "small"]


def make_tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """SigLIP with image and text towers, 32-d; its text tower reads 16 tokens, padded."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    config = SiglipConfig(
        text_config=_text_tower(max_position_embeddings=16, projection_size=32),
        vision_config={**_VISION_TOWER, "image_size": SIDE, "patch_size": 8},
    )
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    _save(SiglipModel, config, seed, processor, folder)
    _save_tokenizer(folder, ["input_ids"], 16)
    return folder


def make_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """CLIP with image and text towers, projected from 32-d to 24-d."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    config = CLIPConfig(
        text_config=_text_tower(max_position_embeddings=20),
        vision_config={**_VISION_TOWER, "image_size": SIDE, "patch_size": 8},
        projection_dim=24,
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    _save(CLIPModel, config, seed, processor, folder)
    _save_tokenizer(folder, ["input_ids", "attention_mask"], 20)
    return folder


def make_tiny_dinov2(folder: Path, seed: int = 0) -> Path:
    """DINOv2: images only, 32-d."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=SIDE, patch_size=8
    )
    processor = BitImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": SIDE, "width": SIDE})
    _save(Dinov2Model, config, seed, processor, folder)
    return folder


_VISION_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def _text_tower(**more: Any) -> dict[str, Any]:
    return {
        **_VISION_TOWER,
        "vocab_size": 3 + len(WORDS),
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 2,
        **more,
    }


def _save(model_class: Any, config: Any, seed: int, processor: Any, folder: Path) -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        for parameter in model.parameters():  # fresh weights are so small that all images look alike
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _save_tokenizer(folder: Path, model_input_names: list[str], length: int) -> None:
    """Words apart by spaces, an end token behind them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["<unk>", "<pad>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<eos>",
        model_max_length=length,
        model_input_names=model_input_names,
    ).save_pretrained(folder)
