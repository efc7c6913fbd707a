"""The usual mistakes of preprocessing are what they are called, and pass for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike import schemas
from lookalike.embed.models.preprocessing import (
    DEVIATION,
    MEAN,
    PREPROCESSINGS,
    image_side,
    imagenet_pixels,
    on_white_square,
)
from lookalike.embed.models.transformers_model import Transformers
from lookalike.errors import ModelError
from lookalike.export.model_files import model_files
from lookalike.store.store import Store


def settings(folder: Path, preprocess: str) -> schemas.TransformersModel:
    return schemas.TransformersModel(
        name="tiny", name_or_path=str(folder), device="cpu", preprocess=preprocess
    )


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (50, 50), (1, 400)])
def test_imagenet_pixels_are_the_middle_in_imagenets_colours(size: tuple[int, int]) -> None:
    colour = (200, 100, 50)
    pixels = imagenet_pixels(Image.new("RGB", size, colour), 32)
    assert pixels.shape == (3, 32, 32) and pixels.dtype == np.float32
    expected = (np.array(colour) / 255 - MEAN) / DEVIATION
    np.testing.assert_allclose(pixels, np.broadcast_to(expected[:, None, None], (3, 32, 32)), atol=1e-5)


def test_imagenet_pixels_leave_the_ends_of_a_long_image_out() -> None:
    image = Image.new("RGB", (300, 100), "black")
    image.paste((255, 255, 255), (100, 0, 200, 100))
    middle = imagenet_pixels(image, 32)[:, :, 4:28]
    white = ((1 - MEAN) / DEVIATION)[:, None, None]
    np.testing.assert_allclose(middle, np.broadcast_to(white, middle.shape), atol=1e-5)


def test_a_white_square_holds_the_whole_image_in_its_middle() -> None:
    square = on_white_square(Image.new("RGB", (30, 10), "red"))
    assert square.size == (30, 30)
    assert square.getpixel((0, 9)) == square.getpixel((29, 20)) == (255, 255, 255)
    assert square.getpixel((0, 10)) == square.getpixel((29, 19)) == (255, 0, 0)


def test_the_encoder_does_as_it_is_told(siglip: Path, images: list[Image.Image]) -> None:
    vectors: dict[str, Any] = {}
    for preprocess in PREPROCESSINGS:
        encoder = Transformers(settings(siglip, preprocess)).load()
        vectors[preprocess] = encoder.encode_images([encoder.preprocess(image) for image in images])
        if preprocess == "checkpoint":
            bordered = encoder.encode_images([encoder.preprocess(on_white_square(one)) for one in images])
    np.testing.assert_allclose(vectors["border"], bordered, rtol=1e-5, atol=1e-6)
    for other in ("border", "imagenet"):
        assert np.abs(vectors[other] - vectors["checkpoint"]).max() > 0.01


def test_each_way_has_a_key_of_its_own_and_the_right_one_keeps_its(siglip: Path, store: Store) -> None:
    recipes = [Transformers(settings(siglip, one)).image_recipe(store) for one in PREPROCESSINGS]
    assert "preprocess" not in recipes[0]["processor"], "vectors of before there was a choice are reused"
    assert recipes[0] != recipes[1] != recipes[2] != recipes[0]
    texts = [Transformers(settings(siglip, one)).text_recipe(store) for one in PREPROCESSINGS]
    assert texts[0] == texts[1] == texts[2], "captions do not care"


@pytest.mark.parametrize(
    ("processor", "side"),
    [
        ({"size": {"height": 384, "width": 384}}, 384),
        ({"size": {"shortest_edge": 99}, "do_center_crop": True, "crop_size": {"height": 9, "width": 9}}, 9),
        ({"size": 224, "do_center_crop": True, "crop_size": 224}, 224),
        ({"size": {"shortest_edge": 256}}, None),
        ({"size": {"height": 384, "width": 256}}, None),
        ({"max_num_patches": 256, "patch_size": 16}, None),
    ],
)
def test_the_side_is_read_off_the_processor(processor: dict[str, Any], side: int | None) -> None:
    assert image_side(processor) == side


def test_what_cannot_be_is_a_fault_before_any_work(siglip: Path) -> None:
    [fault] = Transformers(settings(siglip, "squash")).faults()
    assert "model.preprocess must be one of checkpoint, border, imagenet, not squash" in fault
    with pytest.raises(ModelError, match="not squash"):
        Transformers(settings(siglip, "squash")).load()


def test_a_mistake_does_not_go_to_production(siglip: Path, store: Store) -> None:
    config = settings(siglip, "border")
    with pytest.raises(ModelError, match="is a mistake that is there to be measured"):
        model_files(config, Transformers(config).image_recipe(store), copy_weights=False)
