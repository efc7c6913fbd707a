"""``lookalike ui`` and ``lookalike judge`` as a person uses them, in a real browser."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lookalike.datasets import open_dataset
from lookalike.queries.judgements import read_judgements
from lookalike.runs.opener import open_finished
from lookalike.schemas import FolderDataset
from tests.ui.worlds import PICTURES, Home, make_home, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two runs over the same pictures."""
    return make_home(tmp_path_factory.mktemp("browser"))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error in the console, no request to another machine."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if re.match(r"data:|blob:|(http|ws)://127\.0\.0\.1:", request.url)
            else wrong.append(request.url)
        ),
    )
    yield page
    assert wrong == []
    assert page.get_by_test_id("stException").count() == 0
    page.close()


@pytest.fixture(scope="module")
def search(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``lookalike ui`` on the run whose index loses much."""
    with served(home.root, tmp_path_factory.mktemp("temporary"), "ui", "--run", "fine") as running:
        yield running.address


def settle(page: Page) -> None:
    """Until the script has ended and what it did not draw again is gone."""
    page.locator("[data-test-script-state=notRunning]").wait_for()


def tiles(page: Page, key: str) -> list[tuple[str, str]]:
    """(id, mark) of every picture of one grid, in order."""
    settle(page)
    grid = page.locator(f".st-key-{key} button.tile")
    grid.first.wait_for()
    found = grid.evaluate_all("tiles => tiles.map(t => [t.title, t.className.replace('tile', '').trim()])")
    return [(title, mark) for title, mark in found]


def wait_for_tiles(page: Page, key: str, ids: Sequence[str]) -> None:
    """Until a grid begins with the pictures ``ids``: other parts of the page may be drawn before it."""
    settle(page)
    for place, id_ in enumerate(ids, 1):
        page.locator(f".st-key-{key} .grid > :nth-child({place})[title={json.dumps(id_)}]").first.wait_for()


def exact_ids(home: Home, run: str, id_: str, k: int) -> list[str]:
    """What the page should show as the exact answer to a gallery picture."""
    opened = open_finished(run, home.root)
    row = list(opened.gallery.ids).index(id_)
    return list(opened.search_exactly(opened.vectors.rows(np.array([row])), k).ids)


def upload(page: Page, file: Path, data: bytes) -> None:
    file.write_bytes(data)
    page.locator("input[type=file]").set_input_files(file)


def edited(home: Home, name: str) -> bytes:
    """A gallery picture cropped and recompressed."""
    data = io.BytesIO()
    with Image.open(home.pictures / name) as image:
        image.crop((2, 2, 46, 46)).save(data, "JPEG", quality=40)
    return data.getvalue()


def test_an_upload_finds_its_original_and_a_click_searches_on(
    page: Page, search: str, home: Home, tmp_path: Path
) -> None:
    page.goto(search)
    page.get_by_text("Drop an image at the left").wait_for()
    assert len(tiles(page, "beginning")) == 24
    upload(page, tmp_path / "mine <b>&amp;.jpg", edited(home, "cats/007.png"))
    page.get_by_text("this search, index").wait_for()
    found, exact = tiles(page, "found"), tiles(page, "exact")
    assert found[0] == exact[0] == ("cats/007.png", "")
    assert page.locator(".st-key-query .note").inner_text() == "mine <b>&amp;.jpg", "text, not markup"
    other = exact[1][0]
    page.locator(".st-key-exact button.tile").nth(1).click()
    page.locator(".st-key-query .note", has_text=other).wait_for()
    wait_for_tiles(page, "exact", exact_ids(home, "fine", other, 10))
    assert page.locator(".st-key-exact .badge", has_text="query").count() == 1
    assert re.fullmatch(r"\d+\.\d\d ms", page.get_by_test_id("stMetricValue").nth(1).inner_text())


def lossy(home: Home) -> str:
    """A picture some of whose neighbours are in other lists than its own."""
    opened = open_finished("fine", home.root)
    for row, id_ in enumerate(opened.gallery.ids):
        if opened.compare(opened.vectors.rows(np.array([row])), 10).missed:
            return id_
    raise AssertionError("the index loses nothing")


def test_what_the_index_missed_is_marked_and_more_lists_find_it(
    page: Page, search: str, home: Home, tmp_path: Path
) -> None:
    page.goto(search)
    tiles(page, "beginning")
    upload(page, tmp_path / "query.png", (home.pictures / lossy(home)).read_bytes())
    page.get_by_text("this search, index").wait_for()
    found, exact = tiles(page, "found"), tiles(page, "exact")
    missed = {id_ for id_, mark in exact if mark == "missed"}
    assert missed == {id_ for id_, _ in exact} - {id_ for id_, _ in found}
    assert {id_ for id_, mark in found if mark == "wrong"} == {id_ for id_, _ in found} - {
        id_ for id_, _ in exact
    }
    value = page.get_by_test_id("stMetricValue").first
    assert value.inner_text() == f"{len(exact) - len(missed)} of {len(exact)}"
    nprobe = page.get_by_role("slider", name="lists visited (nprobe)")
    nprobe.focus()
    page.keyboard.press("End")
    page.get_by_role("heading", name="ivf_flat nprobe=8").wait_for()
    value.get_by_text("10 of 10").wait_for()
    wait_for_tiles(page, "found", [id_ for id_, _ in exact])
    page.locator(".tile.missed").first.wait_for(state="detached")
    page.locator(".tile.wrong").first.wait_for(state="detached")


def test_k_and_the_run_are_chosen_in_the_page(page: Page, search: str, home: Home) -> None:
    page.goto(search)
    page.locator(".st-key-beginning button.tile").first.click()
    page.get_by_text("this search, index").wait_for()
    asked = page.locator(".st-key-query .note").inner_text()
    page.get_by_role("slider", name="images shown (K)").focus()
    page.keyboard.press("Home")
    page.locator(".st-key-exact button.tile").nth(1).wait_for(state="detached")
    assert [id_ for id_, _ in tiles(page, "exact")] == [asked]
    page.keyboard.press("End")
    page.locator(".st-key-exact button.tile").nth(PICTURES - 1).wait_for()
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name=re.compile("^flat ")).click()
    page.get_by_role("heading", name="flat", exact=True).wait_for()
    assert page.get_by_role("slider", name="lists visited (nprobe)").count() == 0
    assert page.locator(".st-key-query .note").inner_text() == asked, "the question stays"
    for key in ("found", "exact"):
        wait_for_tiles(page, key, exact_ids(home, "coarse", asked, PICTURES)[:20])


def bomb() -> bytes:
    """A small file of very many pixels."""
    data = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bomb.png", bomb(), "10000 × 10000 pixels exceed the limit of 50000000"),
        ("*no*.png", b"no image at all", "*no*.png cannot be searched for: not an image"),
        ("large.png", bytes(21 << 20), "20.0MB"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_in_words(
    page: Page, search: str, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    page.goto(search)
    tiles(page, "beginning")
    upload(page, tmp_path / name, data)
    page.get_by_text(said).first.wait_for()
    assert page.get_by_text("this search, index").count() == 0


def test_a_judgement_is_blind_goes_on_and_ends_in_a_win_rate_and_a_relevance_file(
    page: Page, home: Home, tmp_path: Path
) -> None:
    command = ("judge", "fine", "coarse", "-n", "3", "--seed", "4")
    with served(home.root, tmp_path, *command) as running:
        page.goto(running.address)
        page.get_by_text("0 of 3 pairs judged").wait_for()
        sides = [page.locator(f"[class*=st-key-{side}] button.tile") for side in ("left", "right")]
        sides[1].nth(4).wait_for()
        assert [side.count() for side in sides] == [5, 5]
        shown = page.content() + page.inner_text("body")
        assert not re.search(r"\b(fine|coarse|ivf|nprobe|pixels)\b", shown), "it says which run is where"
        marked = str(sides[0].first.get_attribute("title"))
        sides[0].first.click()
        page.locator(".tile.relevant").first.wait_for()
        page.get_by_role("button", name="Left is better").click()
        page.get_by_text("1 of 3 pairs judged").wait_for()
        page.goto("about:blank")  # a page that is open complains when its server ends
        assert "1 of 3 pairs judged" in running.end()

    [file] = (home.root / "judgements").glob("*/answers.jsonl")
    terms, first = [json.loads(line) for line in file.read_text().splitlines()]
    assert (terms["answers"], terms["n"], first["relevant"]) == ("exact", 3, [marked])
    assert first["better"] == first["left"], "a click on the left is for the run that was there"
    assert marked in first["shown"][first["left"]]

    with served(home.root, tmp_path, *command) as running:
        page.goto(running.address)
        page.get_by_text("1 of 3 pairs judged").wait_for()
        page.get_by_role("button", name="About the same").wait_for()
        settle(page)
        page.keyboard.press("2")
        page.get_by_text("2 of 3 pairs judged").wait_for()
        settle(page)
        page.get_by_role("button", name="Back to the last pair").click()
        page.get_by_text("1 of 3 pairs judged").wait_for()
        settle(page)
        page.get_by_role("button", name="Right is better").click()
        page.get_by_text("2 of 3 pairs judged").wait_for()
        settle(page)
        page.get_by_role("button", name="About the same").click()
        page.get_by_role("heading", name="All pairs judged").wait_for()
        page.get_by_text(re.compile(r"95% interval \d+% to \d+% \(Wilson")).wait_for()
        page.goto("about:blank")
        said = running.end()
    assert "3 of 3 pairs judged" in said and str(file) in said

    gallery = open_dataset(FolderDataset(root=str(home.pictures)))
    judged = read_judgements(
        file.with_name("relevance.csv"), [first["query"]], gallery.ids, gallery.labels
    ).relevant_ids
    assert judged == [(marked,)]
    copy, original = file.parent / "queries" / first["query"], home.pictures / first["query"]
    assert copy.read_bytes() == original.read_bytes()
