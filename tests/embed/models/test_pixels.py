from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lookalike import schemas
from lookalike.embed.models import open_model
from lookalike.errors import ModelError
from lookalike.store.store import Store


def test_pixels_by_hand() -> None:
    """2 × 2 blocks of one colour each, averaged and mapped from 0 … 255 to −1 … 1, row by row."""
    encoder = open_model(schemas.PixelsModel(side=2)).load()
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, 2:] = (255, 0, 0)
    image[2, 0] = (0, 51, 0)  # a quarter of the lower left block, and another
    image[3, 1] = (0, 51, 0)
    vector = encoder.encode_images([encoder.preprocess(Image.fromarray(image))])
    green = 26 / 127.5 - 1  # 25.5, rounded
    expected = [[-1, -1, -1, 1, -1, -1, -1, green, -1, -1, -1, -1]]
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected, rtol=1e-6)


@pytest.mark.parametrize("grey", range(0, 256, 5))
def test_no_image_has_a_zero_vector(grey: int) -> None:
    encoder = open_model(schemas.PixelsModel()).load()
    flat = Image.new("RGB", (30, 20), (grey, grey, grey))
    assert np.linalg.norm(encoder.encode_images([encoder.preprocess(flat)])) > 0.1


def test_no_images_give_no_rows() -> None:
    encoder = open_model(schemas.PixelsModel()).load()
    assert encoder.encode_images([]).shape == (0, 768)


def test_side_shapes_the_recipe_and_has_to_be_positive(store: Store) -> None:
    recipes = [open_model(schemas.PixelsModel(side=side)).image_recipe(store) for side in (8, 16)]
    assert recipes[0] != recipes[1]
    with pytest.raises(ModelError, match=r"model\.side must be a positive integer, not 0"):
        open_model(schemas.PixelsModel(side=0)).load()
