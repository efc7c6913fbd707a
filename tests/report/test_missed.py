"""The page of best and worst queries, and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.report.missed import MissedQuery, contact_sheet, missed_page, worst_and_best


@dataclass(frozen=True)
class Colours:
    """A gallery of plain images, one hue a row."""

    ids: Sequence[str]
    size: tuple[int, int] = (200, 120)

    @property
    def load(self) -> Callable[[int], Image.Image]:
        return lambda row: Image.new("RGB", self.size, f"hsl({row * 36 % 360}, 90%, 50%)")


@dataclass(frozen=True)
class Noise:
    """A gallery that compresses badly."""

    ids: Sequence[str]

    @property
    def load(self) -> Callable[[int], Image.Image]:
        noise = Image.effect_noise((96, 96), 200).convert("RGB")
        return lambda row: noise


GALLERY = Colours([f"image {row}" for row in range(10)])
QUERY = MissedQuery("a query", lambda: GALLERY.load(0), exact=(0, 1, 2), found=(0, 5, -1), recall=1 / 3)


class Page(HTMLParser):
    """Tiles with their classes, and every element that a page should not have."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tiles: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if "tile" in (given.get("class") or "").split():
            self.tiles.append(" ".join((given.get("class") or "").split()))
        self.links += [value for name, value in attrs if name in ("src", "href") and value is not None]


def page_of(tmp_path: Path, worst: Sequence[MissedQuery], gallery: object = GALLERY) -> tuple[str, Page]:
    missed_page(tmp_path / "missed.html", "title", "caption", worst=worst, best=[], gallery=gallery)  # type: ignore[arg-type]
    text = (tmp_path / "missed.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_misses_are_outlined_on_both_sides(tmp_path: Path) -> None:
    _, page = page_of(tmp_path, [QUERY])
    assert page.tiles == ["tile", "tile missed", "tile missed", "tile", "tile missed", "tile none"]


def test_right_answers_are_marked(tmp_path: Path) -> None:
    query = MissedQuery("q", QUERY.load, exact=(0, 1), found=(0, 1), recall=1, relevant=(1,))
    _, page = page_of(tmp_path, [query])
    assert page.tiles == ["tile", "tile relevant"] * 2


def test_a_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text, page = page_of(tmp_path, [QUERY])
    assert page.links and all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "script" not in page.tags
    assert "color-scheme: light dark" in text


def test_names_with_markup_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y>{0}"

    def broken(row: int) -> Image.Image:
        raise OSError("cannot be read")

    class Broken:
        ids = (evil,) * 10
        load = staticmethod(broken)

    caption = MissedQuery(evil, lambda: evil, exact=(0,), found=(1,), recall=0)
    text, page = page_of(tmp_path, [caption], Broken())
    assert "script" not in page.tags and "img" not in page.tags
    assert text.count("&lt;script&gt;") >= 4
    image = MissedQuery(evil, QUERY.load, exact=(0,), found=(0,), recall=1)
    _, page = page_of(tmp_path, [image], Colours([evil] * 10))
    assert all(link.startswith("data:") for link in page.links)


def test_a_page_stays_under_two_megabytes_and_says_what_it_left_out(tmp_path: Path) -> None:
    gallery = Noise([str(row) for row in range(4000)])
    queries = [
        MissedQuery(
            str(n), lambda: gallery.load(0), range(20 * n, 20 * n + 10), range(20 * n + 10, 20 * n + 20), 0
        )
        for n in range(60)
    ]
    missed_page(tmp_path / "m.html", "t", "c", worst=queries[:30], best=queries[30:], gallery=gallery)
    assert 1_000_000 < (tmp_path / "m.html").stat().st_size < 2_000_000
    text = (tmp_path / "m.html").read_text()
    assert "more did not fit" in text
    assert "Worst queries" in text and "Best queries" in text


def test_without_queries_the_page_says_so(tmp_path: Path) -> None:
    text, _ = page_of(tmp_path, [])
    assert "There are no queries to show." in text


@pytest.mark.parametrize(
    ("recall", "n", "worst", "best"),
    [
        ([0.5, 0.1, 0.9, 0.1, 1.0], 2, [1, 3], [4, 2]),
        ([1.0, 1.0, 1.0], 12, [0, 1], [2]),
        ([np.nan, 0.2, np.nan], 12, [1], []),
        ([], 12, [], []),
    ],
)
def test_worst_and_best(recall: list[float], n: int, worst: list[int], best: list[int]) -> None:
    assert worst_and_best(np.array(recall, dtype=float), n) == (worst, best)


def test_the_contact_sheet_outlines_misses(tmp_path: Path) -> None:
    contact_sheet([QUERY, QUERY], GALLERY, tmp_path / "sheet.png", shown=3, tile=40)
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = sheet.convert("RGB").getcolors(1 << 20) or []
    outline = sum(count for count, colour in colours if colour == (0xD9, 0x48, 0x0F))
    frame = 44 * 44 - 38 * 38
    assert outline == 2 * 3 * frame  # two queries, two missed and one wrong image each


def test_the_contact_sheet_shows_images_only(tmp_path: Path) -> None:
    caption = MissedQuery("q", lambda: "a red fox", exact=(0,), found=(0,), recall=1)
    with pytest.raises(TypeError, match="this query is a text"):
        contact_sheet([caption], GALLERY, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_thumbnails_are_small(tmp_path: Path) -> None:
    import base64

    _, page = page_of(tmp_path, [QUERY])
    for link in page.links:
        with Image.open(io.BytesIO(base64.b64decode(link.split(",", 1)[1]))) as image:
            assert max(image.size) <= 96
