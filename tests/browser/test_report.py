"""The report in a real browser: sorted, filtered, switched, hovered over; nothing fetched, nothing broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageStat

from lookalike.config.planning import plan
from lookalike.progress import SILENT
from lookalike.report.front import tiers
from lookalike.report.html import make_report, write_report
from lookalike.run import run
from lookalike.runs.catalog import Run
from lookalike.runs.session import Session
from lookalike.schemas import Search
from tests.pipeline.conftest import paint, small_experiment
from tests.records import make_by_class, make_point, make_record, make_sweep, quarters
from tests.report.raw import save_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

BREAK_IN = "document.title='broken into'"
EVIL = f'<b>bold</b><img src=x onerror="{BREAK_IN}"><script>{BREAK_IN}</script>'


Opened = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens a page from disk; in the end there was no console message, no error and no request."""
    heard: list[str] = []
    pages: list[Page] = []

    def open_page(path: Path, **settings: Any) -> Page:
        page = browser.new_page(viewport={"width": 1400, "height": 1000}, **settings)
        page.on("console", lambda message: heard.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                heard.append(f"request: {request.url}")
                if not request.url.startswith((path.as_uri(), "data:", "blob:"))
                else None
            ),
        )
        pages.append(page)
        page.goto(path.as_uri())
        page.locator("#fronts .point").first.wait_for()
        return page

    yield open_page
    for page in pages:
        page.close()
    assert heard == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six points of four families."""
    folder = tmp_path_factory.mktemp("a sweep #1 ?")
    runs = save_sweep(folder, make_sweep())
    return write_report(make_report(runs, "six points"), folder / "report.html")


def column(page: Page, name: str) -> list[str]:
    """The cells of a column, top to bottom; of the points' names without their marks."""
    heads = [head.strip(" ▾▴") for head in page.locator("#table th").all_inner_texts()]
    place = heads.index(name) + 1
    cells = page.locator(f"#table tbody td:nth-child({place})").all_inner_texts()
    return [cell.lstrip("•≈!") for cell in cells] if name == "operating point" else cells


def drawn_values(page: Page, chart: int, axis: str) -> list[float]:
    """What the markers of a front chart stand at."""
    values: list[float] = (
        page.locator("#fronts .chart")
        .nth(chart)
        .evaluate("(chart, axis) => chart.data.filter(t => t.mode === 'markers').flatMap(t => t[axis])", axis)
    )
    return sorted(values)


def test_the_first_screen_says_which_to_take(opened: Opened, report: Path) -> None:
    page = opened(report)
    assert page.locator("h1").inner_text() == "six points"
    assert page.locator(".advice b").inner_text().startswith("For knn_recall@100 ≥ 0.95: ")
    assert "twemoji: 4,009 images" in page.locator("#terms").inner_text()
    assert page.locator("#sets").is_hidden()


def test_warnings_of_the_timing_stand_out(opened: Opened, tmp_path: Path) -> None:
    records = make_sweep()
    records[0].timing["flags"] = ["the machine was busy"]
    page = opened(write_report(make_report(save_sweep(tmp_path, records), "busy"), tmp_path / "report.html"))
    assert page.locator("#terms .warning").all_inner_texts() == ["warning: the machine was busy"]
    assert "the machine was busy" in page.locator("#measured .warning").first.text_content()


def test_the_table_starts_with_the_front_and_sorts(opened: Opened, report: Path) -> None:
    page = opened(report)
    assert column(page, "operating point")[0] == "ivf_flat nlist=64 nprobe=1"
    page.get_by_role("button", name="p50 ms").click()
    ascending = [float(cell.strip("★≈ ")) for cell in column(page, "p50 ms")]
    assert len(ascending) == 6 and ascending == sorted(ascending)
    page.get_by_role("button", name="p50 ms").click()
    assert [float(cell.strip("★≈ ")) for cell in column(page, "p50 ms")] == ascending[::-1]
    page.get_by_role("button", name="nprobe").click()
    assert column(page, "nprobe") == ["1", "8", "8", "32", "", ""], "what a point does not have comes last"


def test_the_table_filters_by_words_and_by_values(opened: Opened, report: Path) -> None:
    page = opened(report)
    page.fill("#filter", "ivf_flat nprobe>=8")
    assert sorted(column(page, "operating point")) == [
        "ivf_flat nlist=64 nprobe=32",
        "ivf_flat nlist=64 nprobe=8",
    ]
    assert page.locator("#counted").inner_text() == "2 of 6 points"
    page.fill("#filter", "no such index")
    assert column(page, "operating point") == []


def test_columns_are_chosen_and_identical_ones_folded_away(opened: Opened, report: Path) -> None:
    page = opened(report)
    heads = page.locator("#table th").all_inner_texts()
    assert "nprobe" in heads and "index MB" not in heads and "k" not in heads
    assert "index MB = 20.9" in page.locator("#folded").inner_text()
    page.locator("#columns summary").click()
    page.get_by_label("index MB").check()
    page.get_by_label("p99 ms").check()
    assert set(column(page, "index MB")) == {"20.9"} and len(column(page, "p99 ms")) == 6
    assert "index MB" not in page.locator("#folded").inner_text()


def test_the_best_is_marked_and_what_cannot_be_told_from_it(tmp_path: Path, opened: Opened) -> None:
    """Intervals of ±0.006: 0.990 and 0.988 are equal as far as was measured, 0.950 is not."""
    points = [
        make_point(label=str(recall), trial_key=str(recall), recall=recall) for recall in (0.99, 0.988, 0.95)
    ]
    runs = save_sweep(tmp_path, [make_record(points)])
    page = opened(write_report(make_report(runs, "ties"), tmp_path / "report.html"))
    cells = dict(zip(column(page, "operating point"), column(page, "knn_recall@100"), strict=True))
    assert {name: cell[0] for name, cell in cells.items()} == {"0.99": "★", "0.988": "≈", "0.95": "0"}


def test_the_page_has_the_same_front_as_the_table(tmp_path: Path, opened: Opened) -> None:
    """Thirty points with intervals of many widths, some in doubt: equal ranks in the page and in Python."""
    rng = np.random.default_rng(0)
    points = []
    for number in range(30):
        p50 = float(f"{rng.uniform(1, 2):.4g}")
        recall = round(0.8 + 0.1 * p50 - rng.uniform(0, 0.02), 5)
        reach, width = rng.uniform(0, 0.1), rng.uniform(0, 0.01)
        ends = [float(f"{p50 * (1 - reach):.4g}"), float(f"{p50 * (1 + reach):.4g}")]
        made = make_point(label=f"p{number}", trial_key=str(number), recall=recall, p50_ms=p50)
        made.latency["single"]["p50_ms_interval"] = ends
        made.intervals["knn_recall"]["100"] = [round(recall - width, 5), round(recall + width, 5)]
        made.flags = ["slower at times"] if number % 7 == 0 else []
        points.append(made)
    report = make_report(save_sweep(tmp_path, [make_record(points)]), "equals")
    expected = [[row.point.label for row in tier] for tier in tiers(report.rows)]
    assert any(len(tier) > 1 for tier in expected) and len(expected) > 2
    page = opened(write_report(report, tmp_path / "report.html"))
    shown = page.evaluate("latencyTiers().map((tier) => tier.map((number) => points[number].label))")
    assert shown == expected
    cells = page.locator("#table tbody td:first-child").all_inner_texts()
    marks = {cell.lstrip("•≈!"): cell[0] for cell in cells}
    assert {label for label, mark in marks.items() if mark == "•"} == {tier[0] for tier in expected}
    assert {label for label, mark in marks.items() if mark == "!"} == {p.label for p in points if p.flags}


def test_axes_switch_and_measures_change(opened: Opened, report: Path) -> None:
    page = opened(report)
    latency = page.locator("#fronts .chart").first
    axis = "chart => [chart.layout.xaxis.type, chart.layout.yaxis.type ?? 'linear']"
    assert latency.evaluate(axis) == ["log", "linear"]
    page.uncheck("#log-cost")
    page.check("#log-recall")
    assert latency.evaluate(axis) == ["linear", "log"]
    page.uncheck("#log-recall")
    before = drawn_values(page, 0, "y")
    page.select_option("#cutoff", "10")
    assert drawn_values(page, 0, "y") != before
    assert "first 10 of 100" in latency.inner_text()
    page.select_option("#measure", "hit_rate")
    assert "hit_rate@10" in latency.inner_text()
    p50 = drawn_values(page, 0, "x")
    page.locator("#fronts select[aria-label=cost]").first.select_option("latency_single_p95_ms")
    assert drawn_values(page, 0, "x") == pytest.approx([1.4 * ms for ms in p50], rel=1e-3)


def test_the_axis_of_recall_ends_just_above_one(tmp_path: Path, opened: Opened) -> None:
    points = [make_point(label=label, trial_key=label, recall=1.0, intervals={}) for label in ("a", "b")]
    runs = save_sweep(tmp_path, [make_record(points)])
    page = opened(write_report(make_report(runs, "exact"), tmp_path / "report.html"))
    low, high = page.locator("#fronts .chart").first.evaluate("chart => chart._fullLayout.yaxis.range")
    assert low < 1 < high <= 1.1


def test_hovering_tells_the_settings(opened: Opened, report: Path) -> None:
    page = opened(report)
    marker = page.locator("#fronts .chart").first.locator(".scatterlayer .point").nth(1)
    marker.scroll_into_view_if_needed()
    box = marker.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = page.locator("#fronts .hovertext").first
    told.wait_for()
    text = told.text_content() or ""
    assert "nlist=64" in text
    assert "knn_recall@100" in text and "p95" in text and "MB" in text


def test_no_button_sends_a_chart_anywhere(opened: Opened, report: Path) -> None:
    page = opened(report)
    buttons = page.locator(".modebar-btn").evaluate_all("found => found.map(b => b.dataset.title)")
    assert set(buttons) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}
    assert "form-action 'none'" in page.content()


def test_every_front_and_curve_is_drawn_and_families_can_be_hidden(opened: Opened, report: Path) -> None:
    page = opened(report)
    assert [len(drawn_values(page, chart, "x")) for chart in range(4)] == [6, 6, 6, 6]
    assert page.locator("#curves .scatterlayer .trace").count() > 8
    page.locator("#families button", has_text="ivf_flat").click()
    assert [len(drawn_values(page, chart, "x")) for chart in range(4)] == [3, 3, 3, 3]


def test_what_is_unequal_is_set_apart_and_can_be_chosen(tmp_path: Path, opened: Opened) -> None:
    other = make_record([make_point(label="pixels' point")], model={"name": "pixels"})
    other.data = other.data | {"gallery_key": "others"}
    runs = save_sweep(tmp_path, [*make_sweep(), other])
    page = opened(write_report(make_report(runs, "two models"), tmp_path / "report.html"))
    assert page.locator("#sets").is_visible()
    assert len(column(page, "operating point")) == 6
    page.get_by_role("button", name="pixels (1 point)").click()
    assert column(page, "operating point") == ["pixels' point"]
    page.select_option("#measure", "hit_rate")
    assert len(column(page, "operating point")) == 7, "relevance compares models"
    assert page.locator("#sets").is_hidden()


def test_batches_of_another_size_are_no_part_of_the_front(tmp_path: Path, opened: Opened) -> None:
    small = make_point(trial_key="small", label="small batches")
    small.latency["batch"] = {"threads": 2, "samples": 40, "queries_per_call": 8}
    runs = save_sweep(tmp_path, [*make_sweep(), make_record([small])])
    page = opened(write_report(make_report(runs, "batches"), tmp_path / "report.html"))
    assert [len(drawn_values(page, chart, "x")) for chart in range(2)] == [7, 6]
    assert "set apart: 1" in page.locator("#fronts .card").nth(1).inner_text()


def test_classes_of_a_point_are_shown_the_worst_first(tmp_path: Path, opened: Opened) -> None:
    points = [
        make_point(recall=0.9, by_class=make_by_class("cat", "dog", "fox")),
        make_point(search_settings={"nprobe": 32}, recall=0.97, p50_ms=0.2, by_class=make_by_class("hen")),
    ]
    page = opened(
        write_report(make_report(save_sweep(tmp_path, [make_record(points)]), "x"), tmp_path / "report.html")
    )
    section = page.locator("#classes")
    assert section.locator("option").all_inner_texts() == [points[1].label, points[0].label]
    assert section.locator("tbody").first.locator("td").all_inner_texts()[0] == "hen"
    page.select_option("#class-point", "1")
    firsts = section.locator("tbody").first.locator("td:first-child").all_inner_texts()
    assert firsts == ["cat", "dog", "fox"]
    assert "not right for 9 queries" in section.inner_text() and "fox (3)" in section.inner_text()


def test_without_classes_there_is_no_section_of_them(tmp_path: Path, opened: Opened) -> None:
    page = opened(write_report(make_report(save_sweep(tmp_path, make_sweep()), "x"), tmp_path / "r.html"))
    assert not page.locator("#classes").is_visible()


def test_markup_is_text(tmp_path: Path, opened: Opened) -> None:
    evil = make_point(
        label=EVIL, by_edit={EVIL: {"hit_rate": {"1": 0.5}}}, by_class=make_by_class(EVIL, "other")
    )
    points = [evil, *make_sweep()[0].points]
    record = make_record(points, name=EVIL, overrides=[EVIL])
    record.data["dataset"] = record.environment["cpu"] = record.index["family"] = EVIL
    runs = save_sweep(tmp_path, [record])
    page = opened(write_report(make_report(runs, EVIL), tmp_path / "report.html"))
    page.select_option("#measure", "hit_rate")
    page.locator("details.run").last.locator("summary").click()
    assert page.title() == EVIL and page.locator("h1").inner_text() == EVIL
    assert EVIL in column(page, "operating point")
    assert page.locator("main img, main script").count() == 0
    assert "<b>bold</b>" in page.locator("#curves").inner_text()
    assert "<b>bold</b>" in page.locator("#classes").inner_text()


def test_lost_queries_show_their_images_and_filter_by_edit(tmp_path: Path, opened: Opened) -> None:
    for number in range(80):
        paint(tmp_path / "pictures" / f"{number:03}.png", number)
    experiment = small_experiment(
        tmp_path, tmp_path / "pictures", search=Search(k=10, nprobe=[1, 2, 4], warm_up=1, repeats=1)
    )
    record = run(plan(experiment), tmp_path / "run", Session(experiment, SILENT))
    report = make_report([Run(record, tmp_path / "run")], "lost")
    page = opened(write_report(report, tmp_path / "report.html", root=tmp_path))
    shown = page.locator("#losses article")
    assert shown.count() > 3
    assert page.locator("#losses img").first.evaluate("image => image.naturalWidth") > 0
    assert page.locator("#losses .tile.lost").count() > 0
    page.select_option("#lost-edit", "crop")
    captions = page.locator("#losses figcaption").all_inner_texts()
    assert captions and all("edit: crop" in caption for caption in captions)


def test_light_and_dark(tmp_path: Path, opened: Opened, report: Path) -> None:
    """The page follows the system, the button goes against it, and the drawings go with the page."""

    def brightness(page: Page) -> float:
        shot = tmp_path / "shot.png"
        page.screenshot(path=shot)
        with Image.open(shot) as image:
            return float(ImageStat.Stat(image.convert("L")).mean[0])

    page = opened(report, color_scheme="dark")
    font = "chart => chart.layout.font.color"
    dark = page.locator("#fronts .chart").first.evaluate(font)
    assert brightness(page) < 80
    page.click("#theme")
    assert brightness(page) > 180
    assert page.locator("#fronts .chart").first.evaluate(font) != dark


def test_why_recall_is_lost(tmp_path: Path, opened: Opened) -> None:
    lost = {"lid": quarters(0.98, 0.71), "relative_contrast": quarters(0.95, 0.8)}
    record = make_record([make_point(recall=0.9, label=EVIL, by_difficulty=lost)])
    ratio = {"rank": 10, "distance_ratio": 3.1, "distance_ratio_interval": [2.9, 3.3]}
    record.data = record.data | {"difficulty": ratio}
    runs = save_sweep(tmp_path, [record, *make_sweep()])
    page = opened(write_report(make_report(runs, "why"), tmp_path / "report.html"))
    why = page.locator("#why")
    assert "they lie 3.10 × as far from it" in why.inner_text()
    assert "<b>bold</b>" in why.inner_text() and page.title() == "why"
    assert "0.710 (0.690–0.730) in the quarter of highest local intrinsic dimension" in why.inner_text()
    assert "The record does not say" in why.inner_text(), "of the points of the other runs"
    for place in (0, 1):
        chart = why.locator(".chart").nth(place)
        assert chart.locator(".scatterlayer .trace").count() == 1
        assert chart.locator(".xtick").all_text_contents() == ["easiest", "second", "third", "hardest"]


def test_reports_of_runs_that_do_not_know_why_say_so(report: Path, opened: Opened) -> None:
    why = opened(report).locator("#why")
    assert "do not say how hard their queries are" in why.inner_text()
    assert not why.locator(".grid").is_visible()


def test_a_narrow_page_does_not_scroll_sideways(tmp_path: Path, opened: Opened) -> None:
    """Whatever is long: names of points and classes in choices, tables, sentences."""
    long = "a woman with a very long name of words " * 3
    point = make_point(label=f"ivf_flat {long}", by_difficulty={"lid": quarters(0.9, 0.7)})
    point.by_class = make_by_class(long, f"{long} again")
    runs = save_sweep(tmp_path, [make_record([point]), *make_sweep()])
    page = opened(write_report(make_report(runs, "narrow"), tmp_path / "report.html"))
    options = (
        "[...document.querySelectorAll('select')].forEach(each => each.append(new Option('x'.repeat(200))))"
    )
    page.evaluate(options)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_costs_near_each_other_are_told_apart_by_ticks(tmp_path: Path, opened: Opened) -> None:
    points = [make_point(recall=recall, trial_key=str(recall)) for recall in (0.8, 0.9)]
    for size, point in zip((22.9e6, 23.7e6), points, strict=True):
        point.metrics["serving_memory_bytes"] = size
    runs = save_sweep(tmp_path, [make_record(points)])
    page = opened(write_report(make_report(runs, "near"), tmp_path / "report.html"))
    memory = page.locator("#fronts .card", has_text="Recall and memory")
    assert memory.locator(".xtick").count() >= 2


def test_one_point_with_an_interval_has_ticks(tmp_path: Path, opened: Opened) -> None:
    point = make_point(p50_ms=0.35)
    point.latency["single"] |= {"p50_ms_interval": [0.34, 0.37]}
    page = opened(
        write_report(make_report(save_sweep(tmp_path, [make_record([point])]), "one"), tmp_path / "a.html")
    )
    assert page.locator("#fronts .chart").first.locator(".xtick").count() >= 2
