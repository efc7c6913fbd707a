"""The page that ``lookalike query --html`` writes, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from lookalike.report.hits import Answer, Strip, Tile, hits_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


class Gallery:
    """Eight colours, one of which cannot be loaded, with names that want to be markup."""

    ids = tuple(f"<script>document.title='{row}'</script>.png" for row in range(8))

    def load(self, row: int) -> Image.Image:
        if row == 3:
            raise OSError("gone")
        return Image.new("RGB", (60, 40), (30 * row, 90, 200))


def test_pictures_are_shown_and_nothing_else_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    page_file = tmp_path / "query.html"
    strips = [
        Strip("the index", [Tile(row, f"{row / 10:.4f}", marked=row == 2) for row in range(4)]),
        Strip("exact", [Tile(row, f"{row / 10:.4f}", marked=row > 6) for row in range(8)]),
    ]
    answers = [
        Answer("<img src=x onerror=alert(1)>.jpg", Image.new("RGB", (90, 90), "teal"), strips),
        Answer("", "a </q><script>alert(1)</script> caption", strips[:1]),
    ]
    hits_page(page_file, "Nearest to <b>it</b>", "ivf & co", answers, gallery=Gallery(), legend=True)
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    troubles: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.screenshot(path=str(tmp_path / "query.png"), full_page=True)
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert page.title() == "Nearest to <b>it</b>"
    assert page.locator(".marked").count() == 3
    assert page.locator("q").inner_text() == "a </q><script>alert(1)</script> caption"
    assert page.locator("em").first.inner_text() == Gallery.ids[3]
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 380, "height": 700})
    narrow = page.evaluate("document.documentElement.scrollWidth")
    assert len(widths) == 1 + 3 + 7 + 3 and all(width > 0 for width in widths)
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert troubles == []
    assert wide <= 1000 and narrow <= 380
