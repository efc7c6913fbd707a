"""Runs a transformers checkpoint: its own image processor, its forward pass, an explicit pooling."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from PIL import Image

from lookalike.embed.models.compute import fastest_batch_size
from lookalike.embed.models.preprocessing import image_side, imagenet_pixels, on_white_square
from lookalike.embed.models.protocol import no_text_tower
from lookalike.errors import ModelError, foreign_parser

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS_AT_ONCE = 64
LOCAL = {"local_files_only": True, "trust_remote_code": False}


class TransformersEncoder:
    """A checkpoint in memory.

    ``pooling``: projection (``get_image_features``) | pooler (the model's ``pooler_output``) | cls (first
    token of the last hidden state) | mean (over all its tokens, padding apart). A model of two towers gives
    the last three by its vision tower. ``padding``: of texts; None without a text tower. ``preprocess``: one
    of :data:`~lookalike.embed.models.preprocessing.PREPROCESSINGS`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        pooling: str,
        padding: str | None,
        device: torch.device,
        dtype: str,
        preprocess: str = "checkpoint",
    ) -> None:
        self.name, self.folder, self.pooling, self.padding = name, folder, pooling, padding
        self.preprocessing = preprocess
        self.device, self.dtype = device, getattr(torch, dtype)
        self.processor = load_processor(folder)
        self.model = load_weights(folder, self.dtype, pooling).to(device)
        self._tokenizer: Any = None
        self.texts_cut = 0
        """Texts so far that were longer than the text tower reads."""
        grey = Image.new("RGB", (64, 64), (127, 127, 127))
        self.dim = int(self._vectors([self.preprocess(grey)]).shape[1])

    def preprocess(self, image: Image.Image) -> dict[str, NDArray[Any]]:
        """The model's inputs by name, without the batch axis."""
        if self.preprocessing == "imagenet":
            side = image_side(self.processor.to_dict())
            assert side is not None  # what the config was checked for
            return {"pixel_values": imagenet_pixels(image, side)}
        if self.preprocessing == "border":
            image = on_white_square(image)
        inputs = self.processor(images=image, return_tensors="np")
        return {name: np.asarray(value[0]) for name, value in inputs.items()}

    def encode_images(self, batch: Sequence[dict[str, NDArray[Any]]]) -> NDArray[np.float32]:
        return self._vectors(batch) if batch else np.empty((0, self.dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.padding is None:
            raise ModelError(no_text_tower(self.name))
        blocks = [
            self._text_vectors(texts[i : i + TEXTS_AT_ONCE]) for i in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        return np.concatenate([np.empty((0, self.dim), np.float32), *blocks])

    def pick_batch_size(self, sample: Sequence[dict[str, NDArray[Any]]]) -> int:
        return fastest_batch_size(self.encode_images, sample)

    def facts(self) -> dict[str, Any]:
        return {
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "processor": type(self.processor).__name__,
        }

    @property
    def tokenizer(self) -> Any:
        """Loaded when the first text comes."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.folder)
        return self._tokenizer

    @torch.inference_mode()
    def _vectors(self, batch: Sequence[dict[str, NDArray[Any]]]) -> NDArray[np.float32]:
        inputs = {name: self._tensor([image[name] for image in batch]) for name in batch[0]}
        if self.pooling == "projection":
            return to_numpy(self.model.get_image_features(**inputs).pooler_output)
        tower = getattr(self.model, "vision_model", self.model)
        return to_numpy(pool(tower(**inputs), self.pooling, inputs.get("pixel_attention_mask")))

    @torch.inference_mode()
    def _text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        longest = self.model.config.text_config.max_position_embeddings
        whole = self.tokenizer(list(texts), verbose=False)["input_ids"]
        self.texts_cut += sum(len(ids) > longest for ids in whole)
        tokens = self.tokenizer(
            list(texts),
            padding=self.padding,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        return to_numpy(self.model.get_text_features(**tokens.to(self.device)).pooler_output)

    def _tensor(self, rows: Sequence[NDArray[Any]]) -> torch.Tensor:
        tensor = torch.from_numpy(np.stack(rows)).to(self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def pool(output: Any, pooling: str, mask: torch.Tensor | None) -> torch.Tensor:
    """One vector an image of a vision model's output; ``mask`` marks the patches that are not padding."""
    if pooling == "pooler":
        if getattr(output, "pooler_output", None) is None:
            raise ModelError("this model has no pooler_output; set model.pooling to cls or mean")
        pooled: torch.Tensor = output.pooler_output.flatten(1)
        return pooled
    tokens: torch.Tensor = output.last_hidden_state
    if tokens.ndim == 4:  # a convolutional network: (n, channels, height, width)
        tokens = tokens.flatten(2).transpose(1, 2)
        if pooling == "cls":
            raise ModelError("this model has no class token; set model.pooling to pooler or mean")
    if pooling == "cls":
        return tokens[:, 0]
    if mask is None:
        return tokens.mean(1)
    weights = mask[..., None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)


def to_numpy(vectors: torch.Tensor) -> NDArray[np.float32]:
    """Float32 on the CPU, C-contiguous."""
    array: NDArray[np.float32] = vectors.float().cpu().contiguous().numpy()
    return array


def load_processor(folder: Path) -> Any:
    """The checkpoint's image processor, in its PIL version: the reference one, without torchvision."""
    with _loading(folder, "image processor"):
        return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **LOCAL)


def load_tokenizer(folder: Path) -> Any:
    """The checkpoint's tokenizer."""
    with _loading(folder, "tokenizer"):
        try:
            return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
        except ImportError as error:
            raise ModelError(
                f"the tokenizer in {folder} needs packages that are not installed; "
                "pip install 'lookalike[text]'"
            ) from error


def load_weights(folder: Path, dtype: torch.dtype, pooling: str) -> Any:
    """The model in evaluation mode; ModelError when the file leaves out a weight that a vector depends on.

    transformers fills such gaps with random numbers and goes on. A pooler that is not used may be missing.
    """
    transformers.utils.logging.disable_progress_bar()
    with _loading(folder, "model"):
        model, loading = transformers.AutoModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
        )
    gaps = {*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])}
    gaps = {key for key in gaps if pooling == "pooler" or not key.startswith("pooler.")}
    if gaps:
        raise ModelError(
            f"the weights in {folder} lack {len(gaps)} parameters of the model ({min(gaps)} for one); "
            "choose a checkpoint of the whole model, or another model.pooling"
        )
    return model.eval()


def _loading(folder: Path, part: str) -> AbstractContextManager[None]:
    """What transformers and its parsers raise becomes a ModelError."""
    cure = "choose another checkpoint or fetch it again"
    return foreign_parser(f"the {part} in {folder} cannot be loaded", cure, ModelError)
