"""Six operating points in MLflow's own pages, in a real browser: told apart without opening one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lookalike import schemas
from lookalike.tracking import open_tracker
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PATIENCE_MS = 40_000
STARTING_SECONDS = 120.0
LABELS = sorted(point.label for record in records.make_sweep() for point in record.points)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which a real MLflow server shows a sweep of six points (beside one it must not show)."""
    root = tmp_path_factory.mktemp("home")
    tracker = open_tracker(schemas.Tracking(), root)
    assert isinstance(tracker, MlflowTracker)
    parent = tracker.start_sweep("four families", "six made-up operating points")
    sweep = records.make_sweep()
    for number, record in enumerate(sweep):
        tracker.log(record, root / f"run{number}", parent)
    tracker.finish_sweep(parent, root, sweep)
    tracker.log(records.make_record([records.make_point(label="of no sweep")]), root / "other")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", tracker.backend.uri]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait_for(address, root / "server.log")
        yield f"{address}/{tracker.page(parent)}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    """A wide page, for a wide table."""
    page = browser.new_page(viewport={"width": 2600, "height": 1600})
    page.set_default_timeout(PATIENCE_MS)
    # MLflow opens an assistant beside the runs on a browser's first visit.
    page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    return page


def _names(page: Page) -> list[str]:
    page.get_by_role("link", name=LABELS[0], exact=True).first.wait_for()
    return [
        text.strip()
        for text in page.get_by_role("link").all_inner_texts()
        if text.strip() in {*LABELS, "of no sweep"}
    ]


def test_the_table_names_the_points_of_the_sweep_and_shows_what_they_give(page: Page, place: str) -> None:
    page.goto(place)
    assert sorted(_names(page)) == LABELS
    fastest, *_, slowest = _names(page)
    assert (fastest, slowest) == ("ivf_flat nlist=64 nprobe=1", "flat")
    heads = page.get_by_role("columnheader").evaluate_all(
        "heads => heads.map(h => [h.getBoundingClientRect().x, h.innerText.trim()])"
    )
    shown = list(dict.fromkeys(text for _, text in sorted(heads)))
    wanted = ["knn_recall_at_100", "hit_rate_at_1", "latency_single_p50_ms", "qps_batch", "nlist", "nprobe"]
    assert [head for head in shown if head in wanted] == wanted
    cells = page.get_by_role("gridcell").all_inner_texts()
    assert {"0.7525", "0.61"} <= {cell.strip() for cell in cells}


def test_the_charts_draw_the_trade_off_first_in_colours_that_differ(page: Page, place: str) -> None:
    page.goto(place + "&compareRunsMode=CHART")
    assert sorted(_names(page)) == LABELS
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
    body = page.inner_text("body")
    assert 0 <= body.index("Trade-off") < body.index("Over the cut-off K")
    assert "knn_recall_at_k" in body
    chart = page.locator(".js-plotly-plot").first
    fills = chart.locator(".point").evaluate_all("points => points.map(p => getComputedStyle(p).fill)")
    assert len(fills) == 6 and len(set(fills)) == 6
