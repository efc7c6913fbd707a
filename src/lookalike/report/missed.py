"""What the images look like where an index lost: a page of queries, and a contact sheet."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lookalike.runs.record import result_file

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 96
MAX_PAGE_BYTES = 2_000_000
"""A page stays under this: rows that do not fit are left out, and the page says how many."""


class Pictures(Protocol):
    """Rows of images with ids; an image dataset is one."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row."""

    @property
    def load(self) -> Callable[[int], Image]:
        """Row -> RGB image."""


@dataclass(frozen=True)
class MissedQuery:
    """One query beside its exact and its returned neighbours."""

    name: str
    load: Callable[[], Image | str]
    """The query image, or the text of a caption."""
    exact: Sequence[int]
    """Gallery rows of the exact neighbours, nearest first; −1: there is none."""
    found: Sequence[int]
    """Gallery rows that the index returned, nearest first; −1: nothing."""
    recall: float
    """The query's ``knn_recall`` at the k of the page's caption."""
    relevant: Sequence[int] = ()
    """Those of both that are right answers, where the protocol knows; they get a mark."""

    @property
    def missed(self) -> frozenset[int]:
        """Exact neighbours among the shown ones that the index did not return at all."""
        return frozenset(self.exact) - frozenset(self.found) - {-1}


def worst_and_best(recall: np.ndarray, n: int = 12) -> tuple[list[int], list[int]]:
    """Query rows with the lowest and with the highest ``recall`` (float, one a query), n of each at most.

    Ties go to the lower row; a query that is not counted (NaN) is in neither; no query is in both.
    """
    counted = np.flatnonzero(~np.isnan(recall))
    order = counted[np.argsort(recall[counted], kind="stable")]
    n = min(n, (len(order) + 1) // 2)
    worst = [int(row) for row in order[:n]]
    by_best = counted[np.argsort(-recall[counted], kind="stable")]
    best = [int(row) for row in by_best if int(row) not in worst][:n]
    return worst, best


def missed_page(
    path: Path,
    title: str,
    caption: str,
    *,
    worst: Sequence[MissedQuery],
    best: Sequence[MissedQuery],
    gallery: Pictures,
    shown: int = 10,
) -> None:
    """Write a self-contained HTML page of the worst and best queries, ``shown`` neighbours of each.

    Every text is escaped; an image that cannot be loaded becomes its id. The file stays under 2 MB.
    """
    thumbnails = _Thumbnails(gallery)
    budget = MAX_PAGE_BYTES - 50_000
    sections = []
    for heading, queries in (("Worst queries", worst), ("Best queries", best)):
        share = budget // 2 if heading == "Worst queries" else budget
        rows: list[str] = []
        for query in queries:
            row = _query_html(query, thumbnails, shown)
            if len(row) > share:
                break
            share -= len(row)
            budget -= len(row)
            rows.append(row)
        left_out = len(queries) - len(rows)
        note = f"<p class=note>{left_out} more did not fit on this page.</p>" if left_out else ""
        if rows:
            sections.append(f"<h2>{heading}</h2>\n{''.join(rows)}{note}")
    body = "\n".join(sections) or "<p>There are no queries to show.</p>"
    page = _PAGE.format(title=escape(title), caption=escape(caption), body=body)
    with result_file(path) as draft:
        draft.write_text(page, encoding="utf-8", errors="backslashreplace")


class _Thumbnails:
    """Gallery rows as ``<img>`` elements; each is encoded once."""

    def __init__(self, gallery: Pictures) -> None:
        self.gallery = gallery
        self.known: dict[int, str] = {}

    def html(self, row: int, marks: str) -> str:
        if row < 0:
            return '<span class="tile none" title="nothing returned">–</span>'
        if row not in self.known:
            self.known[row] = image_html(lambda: self.gallery.load(row), self.gallery.ids[row])
        return f'<span class="tile {marks}">{self.known[row]}</span>'


def image_html(load: Callable[[], Any], name: str) -> str:
    """A thumbnail inside the page, a text in quotes, or the name of what cannot be loaded; escaped."""
    try:
        content = load()
    except Exception:  # a thumbnail that cannot be drawn must not cost the page
        return f"<em>{escape(name)}</em>"
    if isinstance(content, str):
        return f"<q>{escape(content)}</q>"
    data = base64.b64encode(_jpeg(content)).decode("ascii")
    label = escape(name)
    return f'<img src="data:image/jpeg;base64,{data}" alt="{label}" title="{label}" loading="lazy">'


def _jpeg(image: Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=80)
    return data.getvalue()


def _query_html(query: MissedQuery, thumbnails: _Thumbnails, shown: int) -> str:
    relevant = set(query.relevant)

    def strip(rows: Sequence[int], lost: frozenset[int]) -> str:
        tiles = []
        for row in rows[:shown]:
            marks = " ".join(
                [*(["missed"] if row in lost else []), *(["relevant"] if row in relevant else [])]
            )
            tiles.append(thumbnails.html(row, marks))
        return "".join(tiles)

    wrong = frozenset(query.found) - frozenset(query.exact)
    return (
        f'<article><figure class="query">{image_html(query.load, query.name)}'
        f"<figcaption>{escape(query.name)}<br><b>{query.recall:.2f}</b> of the exact answer"
        f"</figcaption></figure>"
        f'<div><p>exact</p><div class="strip">{strip(query.exact, query.missed)}</div>'
        f'<p>returned</p><div class="strip">{strip(query.found, wrong)}</div></div></article>\n'
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --miss: #d9480f; --right: #2b8a3e; }}
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }}
h1 {{ font-size: 1.4rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
p {{ margin: .2rem 0; }} .note, div > p {{ opacity: .7; font-size: .85rem; }}
article {{ display: flex; gap: 1.5rem; border-top: 1px solid var(--line); padding: .8rem 0; }}
figure {{ margin: 0; width: 9rem; flex: none; overflow-wrap: anywhere; font-size: .8rem; }}
.strip {{ display: flex; flex-wrap: wrap; gap: 6px; }}
.tile {{ width: 72px; height: 72px; display: grid; place-items: center; overflow: hidden; font-size: .65rem;
  border-radius: 4px; outline: 1px solid var(--line); background: #fff; color: #222;
  overflow-wrap: anywhere; }}
.tile img {{ width: 72px; height: 72px; object-fit: contain; }}
.missed {{ outline: 3px solid var(--miss); }} .relevant {{ border-bottom: 4px solid var(--right); }}
.none {{ background: none; color: inherit; outline-style: dashed; }}
.legend span {{ display: inline-block; padding: 0 .4rem; margin-right: 1rem; border-radius: 4px; }}
@media (max-width: 45rem) {{ article {{ flex-direction: column; }} }}
</style></head><body>
<h1>{title}</h1>
<p>{caption}</p>
<p class="legend"><span class="missed">outlined</span>among the exact: a neighbour that the index
did not return; among the returned: an image that is not one of the exact neighbours.
<span class="relevant">underlined</span>a right answer of the query protocol.</p>
{body}
</body></html>
"""


def contact_sheet(
    queries: Sequence[MissedQuery], gallery: Pictures, path: Path, shown: int = 6, tile: int = 72
) -> None:
    """Draw one line a query into ``path``, a PNG: the query, the exact answer, the index's answer.

    Exact neighbours that the index missed, and returned images that are no exact neighbours, are outlined.
    """
    from PIL import Image, ImageDraw, ImageFont

    gap, head, edge = 8, 34, 16
    strip = shown * (tile + gap)
    lefts = {"query": edge, "exact": edge + tile + 4 * gap}
    lefts["returned"] = lefts["exact"] + strip + 3 * gap
    size = (lefts["returned"] + strip + edge - gap, head + len(queries) * (tile + gap) + edge - gap)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    words = {"query": "query", "exact": "exact answer", "returned": "the fast index’s answer"}
    for name, left in lefts.items():
        draw.text((left, 10), words[name], fill="#444444", font=font)

    def paste(image: Any, left: int, top: int, outlined: bool) -> None:
        small = image.convert("RGB")
        small.thumbnail((tile, tile))
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        if outlined:
            draw.rectangle((left - 2, top - 2, left + tile + 1, top + tile + 1), outline="#d9480f", width=3)

    for line, query in enumerate(queries):
        top = head + line * (tile + gap)
        image = query.load()
        if isinstance(image, str):
            raise TypeError("a contact sheet shows image queries; this query is a text")
        paste(image, lefts["query"], top, outlined=False)
        wrong = frozenset(query.found) - frozenset(query.exact)
        for name, rows, lost in (("exact", query.exact, query.missed), ("returned", query.found, wrong)):
            for place, row in enumerate(rows[:shown]):
                if row >= 0:
                    paste(gallery.load(row), lefts[name] + place * (tile + gap), top, outlined=row in lost)
    with result_file(path) as draft:
        sheet.save(draft, optimize=True)
