"""Edits are pure, seeded, work on any size, and do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lookalike.queries.edits import EDITS, WORKING_SIDE, fit


def photo(width: int = 96, height: int = 72) -> Image.Image:
    """Smooth colours with some detail on them."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    noise = np.random.default_rng(0).integers(0, 40, size=(height, width))
    return Image.fromarray(np.stack([across, down, noise + 100], axis=2).astype(np.uint8))


def edited(name: str, image: Image.Image, seed: int = 0) -> Image.Image:
    return EDITS[name](image, np.random.default_rng(seed))


def test_the_seven_edits_have_their_names() -> None:
    assert list(EDITS) == ["crop", "resize", "rotate", "jpeg", "blur", "colour", "overlay"]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_the_image_but_not_its_input(name: str) -> None:
    image = photo()
    before = image.tobytes()
    result = edited(name, image)
    assert image.tobytes() == before
    assert result.mode == "RGB"
    assert (result.size, result.tobytes()) != (image.size, before)


@pytest.mark.parametrize("name", EDITS)
def test_the_seed_decides_alone(name: str) -> None:
    image = photo()
    assert edited(name, image, 3).tobytes() == edited(name, image, 3).tobytes()
    assert len({edited(name, image, seed).tobytes() for seed in range(12)}) > 1


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (300, 2), (WORKING_SIDE, 40)])
def test_any_size_can_be_edited(name: str, size: tuple[int, int]) -> None:
    for seed in range(4):
        result = edited(name, Image.new("RGB", size, "red"), seed)
        assert min(result.size) >= 1
        result.load()


def test_crop_keeps_three_fifths_of_the_area_from_inside() -> None:
    image = photo(200, 100)
    corners = set()
    for seed in range(20):
        result = edited("crop", image, seed)
        assert result.width * result.height == pytest.approx(0.6 * 200 * 100, rel=0.02)
        assert result.width / result.height == pytest.approx(2, rel=0.02)
        corners.add(result.getpixel((0, 0)))
    assert len(corners) > 10


def test_resize_shrinks_and_squeezes() -> None:
    assert {edited("resize", photo(100, 100), seed).size for seed in range(12)} == {(30, 40), (40, 30)}


def test_rotate_turns_by_15_to_25_degrees_onto_white() -> None:
    square = Image.new("RGB", (100, 100), "black")
    for seed in range(12):
        result = edited("rotate", square, seed)
        turned = np.radians([15, 25])
        low, high = 100 * (np.sin(turned) + np.cos(turned))
        assert low - 2 <= result.width <= high + 3
        assert result.getpixel((0, 0)) == (255, 255, 255)
        assert result.getpixel((result.width // 2, result.height // 2)) == (0, 0, 0)


def test_blur_removes_detail_alike_at_every_size() -> None:
    for size in (100, 1000):
        stripes = Image.fromarray(
            np.tile(np.arange(size, dtype=np.uint8) // (size // 100) % 2 * 255, (size, 1))
        )
        assert np.asarray(edited("blur", stripes.convert("RGB"))).std() < 30, (
            "stripes of 1 % of the side melt"
        )


def test_jpeg_loses_detail_but_neither_size_nor_the_whole() -> None:
    image = photo()
    result = edited("jpeg", image)
    assert result.size == image.size
    error = np.abs(np.asarray(result, dtype=float) - np.asarray(image, dtype=float)).mean()
    assert 2 < error < 30


def test_colour_fades_and_keeps_the_shapes() -> None:
    image = photo()
    result = edited("colour", image)
    saturation = [np.ptp(np.asarray(one, dtype=float), axis=2).mean() for one in (image, result)]
    assert saturation[1] < 0.8 * saturation[0]
    before, after = (np.asarray(one.convert("L"), dtype=float).ravel() for one in (image, result))
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_overlay_covers_three_tenths_at_one_edge() -> None:
    image = photo(100, 100)
    edges = set()
    for seed in range(12):
        changed = (np.asarray(edited("overlay", image, seed)) != np.asarray(image)).any(axis=(1, 2))
        assert changed.sum() == 30
        edges.add(int(np.flatnonzero(changed)[0]))
    assert edges == {0, 70}


def test_large_images_are_scaled_down_first_and_small_ones_are_not() -> None:
    assert fit(Image.new("RGB", (4096, 2048))).size == (1024, 512)
    assert fit(Image.new("RGB", (5000, 1))).size == (1024, 1)
    small = photo()
    assert fit(small) is small
