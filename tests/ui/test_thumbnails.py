"""Thumbnails are made when first shown, kept by what their image is, and never more than a bound."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from lookalike.datasets.sets import ImageSet
from lookalike.errors import ImageError
from lookalike.ui.thumbnails import SIDE, Thumbnails, thumbnail


class Pictures:
    """A gallery that counts how often each row is decoded; row 3 cannot be."""

    def __init__(self, fingerprints: Sequence[str], size: tuple[int, int] = (400, 300)) -> None:
        self.decoded: list[int] = []
        self.size = size
        ids = [f"{row}.png" for row in range(len(fingerprints))]
        self.images = ImageSet(ids, fingerprints, ids, self.load)

    def load(self, row: int) -> Image.Image:
        self.decoded.append(row)
        if row == 3:
            raise ImageError("the file is empty")
        return Image.new("RGB", self.size, (row, 0, 0))


def test_only_what_is_shown_is_made_and_only_once(tmp_path: Path) -> None:
    pictures = Pictures([f"print {row}" for row in range(100_000)])
    first = Thumbnails(tmp_path).of(pictures.images, [5, 99_999])
    assert sorted(pictures.decoded) == [5, 99_999]
    assert Thumbnails(tmp_path).of(pictures.images, [5, 99_999]) == first
    assert sorted(pictures.decoded) == [5, 99_999], "the second process read them"


def test_a_changed_image_gets_a_new_one(tmp_path: Path) -> None:
    Thumbnails(tmp_path).of(Pictures(["before"]).images, [0])
    changed = Pictures(["after"])
    Thumbnails(tmp_path).of(changed.images, [0])
    assert changed.decoded == [0]


def test_an_image_that_cannot_be_decoded_has_none_and_costs_no_other_one(tmp_path: Path) -> None:
    pictures = Pictures(list("abcde"))
    made = Thumbnails(tmp_path).of(pictures.images, [2, 3, 4])
    assert [one is None for one in made] == [False, True, False]


@pytest.mark.parametrize("size", [(4000, 100), (300, 900), (20, 10)])
def test_it_keeps_its_shape_and_is_never_enlarged(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(thumbnail(Image.new("RGB", size)))) as small:
        assert small.format == "JPEG"
        assert max(small.size) == min(SIDE, max(size))
        assert small.width / small.height == pytest.approx(size[0] / size[1], rel=0.2)


def test_the_oldest_go_when_the_bound_is_reached(tmp_path: Path) -> None:
    pictures = Pictures([f"{row}" for row in range(30)])
    one = len(thumbnail(pictures.load(0)))
    cache = Thumbnails(tmp_path, limit_bytes=10 * one)
    for row in (row for row in range(30) if row != 3):
        cache.of(pictures.images, [row])
        os.utime(cache.path(str(row)), (row, row))
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) <= 10 * one
    kept = [row for row in range(30) if cache.path(str(row)).exists()]
    assert kept == list(range(kept[0], 30)) and len(kept) >= 5


def test_what_a_crash_left_empty_is_made_again(tmp_path: Path) -> None:
    pictures, cache = Pictures(["a"]), Thumbnails(tmp_path)
    [made] = cache.of(pictures.images, [0])
    cache.path("a").write_bytes(b"")
    assert cache.of(pictures.images, [0]) == [made]


def test_a_folder_that_cannot_be_written_only_costs_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pictures = Pictures(["a"])
    cache = Thumbnails(tmp_path / "file" / "thumbnails")
    assert cache.of(pictures.images, [0]) == cache.of(pictures.images, [0]) != [None]
    assert pictures.decoded == [0, 0]
