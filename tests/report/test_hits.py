"""Contact sheets of what a query found; its page is tested in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lookalike.errors import UserError
from lookalike.report.hits import OUTLINE, TILE, Answer, Strip, Tile, hits_page, hits_sheet


class Gallery:
    """Four pictures; the last one cannot be loaded."""

    ids = ("a", "b", "c", "d")

    def load(self, row: int) -> Image.Image:
        if row == 3:
            raise OSError("gone")
        return Image.new("RGB", (TILE, TILE), ("red", "lime", "blue")[row])


def answer(query: Image.Image | str, *strips: Strip) -> Answer:
    return Answer("a name that is much too long for its place.png", query, strips)


def area(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return sum(count for count, found in sheet.getcolors(10**6) or [] if found == colour)


def test_every_picture_is_drawn_and_the_marked_ones_are_outlined(tmp_path: Path) -> None:
    index = Strip("the index", [Tile(0, "0.1"), Tile(3, "0.2"), Tile(1, "0.3", marked=True)])
    exact = Strip("exact", [Tile(0, "0.1"), Tile(2, "0.2", marked=True)])
    image, words = Image.new("RGB", (300, 300), "teal"), "ein Häuschen 家 of many words " * 9
    hits_sheet(tmp_path / "sheet.png", [answer(image, index, exact), answer(words, exact)], Gallery())
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.load()
    red, lime, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    inside = (TILE - 4) ** 2
    assert 3 * inside <= area(sheet, red) <= 3 * TILE**2
    assert inside <= area(sheet, lime) <= TILE**2
    assert 2 * inside <= area(sheet, blue) <= 2 * TILE**2
    assert area(sheet, (0, 128, 128)) >= inside, "the query"
    outline = tuple(int(OUTLINE[at : at + 2], 16) for at in (1, 3, 5))
    assert len(outline) == 3
    assert 3 * 4 * TILE <= area(sheet, outline) <= 3 * 4 * 3 * (TILE + 4)


def test_nothing_found_is_a_sheet_too(tmp_path: Path) -> None:
    hits_sheet(tmp_path / "sheet.png", [answer("nothing", Strip("the index", []))], Gallery())
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > TILE


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    for write in (
        hits_sheet,
        lambda path, answers, gallery: hits_page(path, "", "", answers, gallery=gallery),
    ):
        with pytest.raises(UserError, match=r"cannot be written .*; name another place"):
            write(tmp_path / "no" / "where", [answer("x", Strip("", []))], Gallery())
