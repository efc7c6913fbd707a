"""The forward pass of EfficientNet-Lite0, with TensorFlow's padding and epsilon.

Architecture: Tan and Le, "EfficientNet", 2019, without squeeze-and-excitation and with ReLU6 for swish
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Batch norms are folded into
the convolutions before them and tensors are laid out channels-last: 2 × the images a second on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

BLOCKS = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Inverted residual blocks of each stage: how many, and the stride of the first."""
BATCH_NORM_EPSILON = 1e-3


class Convolution:
    """A convolution with its batch norm folded in, TensorFlow's "SAME" padding and, if ``clipped``, ReLU6."""

    def __init__(
        self, weights: dict[str, Tensor], name: str, norm: str, stride: int = 1, clipped: bool = True
    ) -> None:
        mean, variance = weights[f"{norm}.running_mean"].double(), weights[f"{norm}.running_var"].double()
        scale = weights[f"{norm}.weight"].double() / (variance + BATCH_NORM_EPSILON).sqrt()
        self.weight = weights[f"{name}.weight"].double() * scale[:, None, None, None]
        self.bias = weights[f"{norm}.bias"].double() - mean * scale
        self.stride, self.clipped = stride, clipped
        self.kernel = self.weight.shape[-1]
        depthwise = self.weight.shape[1] == 1
        self.groups = self.weight.shape[0] if depthwise else 1

    def to(self, device: torch.device, dtype: torch.dtype) -> Convolution:
        self.weight = self.weight.to(device, dtype).contiguous(memory_format=torch.channels_last)
        self.bias = self.bias.to(device, dtype)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        padding = self.kernel // 2
        if self.stride > 1:  # an even side is padded by one less at its start than at its end
            x, padding = F.pad(x, same_padding(x.shape[-1], x.shape[-2], self.kernel, self.stride)), 0
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return x.clamp_(0, 6) if self.clipped else x


class Block:
    """An inverted residual: expand, convolve each channel, project; plus the input where shapes agree."""

    def __init__(self, weights: dict[str, Tensor], name: str, stride: int) -> None:
        self.layers = [
            Convolution(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride),
            Convolution(weights, f"{name}._project_conv", f"{name}._bn2", clipped=False),
        ]
        if f"{name}._expand_conv.weight" in weights:  # the very first block does not expand
            self.layers.insert(0, Convolution(weights, f"{name}._expand_conv", f"{name}._bn0"))

    def __call__(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y)
        return y.add_(x) if y.shape == x.shape else y


class Lite0Network:
    """Weights on a device, ready for batches of uint8 images."""

    def __init__(self, file: Path, device: torch.device, dtype: str) -> None:
        weights = torch.load(file, weights_only=True, map_location="cpu")
        self.device, self.dtype = device, getattr(torch, dtype)
        strides = [stride if i == 0 else 1 for count, stride in BLOCKS for i in range(count)]
        blocks = [Block(weights, f"_blocks.{i}", stride) for i, stride in enumerate(strides)]
        stem = Convolution(weights, "_conv_stem", "_bn0", stride=2)
        head = Convolution(weights, "_conv_head", "_bn1")
        for layer in [stem, *(layer for block in blocks for layer in block.layers), head]:
            layer.to(self.device, self.dtype)
        self.layers: list[Convolution | Block] = [stem, *blocks, head]
        self.classifier = weights["_fc.weight"], weights["_fc.bias"]

    @torch.inference_mode()
    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Uint8 images, shape (n, 224, 224, 3), to features, float32, shape (n, 1280)."""
        pixels = torch.from_numpy(images).to(self.device, torch.float32)
        x = ((pixels - 127) / 128).permute(0, 3, 1, 2).to(self.dtype)
        for layer in self.layers:
            x = layer(x)
        pooled: NDArray[np.float32] = x.mean((2, 3), dtype=torch.float32).cpu().numpy()
        return pooled

    @torch.inference_mode()
    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features, shape (n, 1280), to logits of the 1,000 ImageNet classes, shape (n, 1000)."""
        scores: NDArray[np.float32] = F.linear(torch.from_numpy(features), *self.classifier).numpy()
        return scores

    def facts(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {"device": str(self.device), "dtype": dtype, "torch": torch.__version__}


def same_padding(width: int, height: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's "SAME": (left, right, top, bottom) such that ceil(side / stride) positions come out."""
    across, down = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (width, height))
    return across // 2, across - across // 2, down // 2, down - down // 2
