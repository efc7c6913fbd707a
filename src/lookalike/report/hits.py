"""What a query found, to be looked at: a page, and a contact sheet."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lookalike.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

THUMBNAIL = 96
"""Pixels of a page's picture: its longer side, at most."""
OUTLINE = "#d9480f"
GREY = "#555555"
TILE, GAP, EDGE, LINE = 84, 10, 18, 18
"""Pixels of the contact sheet: a picture's side, the space between two, the margin, a line of text."""


class Pictures(Protocol):
    """Rows of images with ids; an image dataset is one."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row."""

    @property
    def load(self) -> Callable[[int], Image]:
        """Row -> RGB image."""


@dataclass(frozen=True)
class Tile:
    """One image that was found."""

    row: int
    """Of the gallery."""
    score: str
    marked: bool = False
    """Outlined: missed by the index, or no exact neighbour."""


@dataclass(frozen=True)
class Strip:
    """One answer to a query, nearest first."""

    title: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Answer:
    """A query, and one or two answers to it."""

    name: str
    query: Image | str
    """The image, or the text of a caption."""
    strips: Sequence[Strip]


LEGEND = (
    "Outlined among the exact: an image that the index missed; "
    "among the index’s: one that is not an exact neighbour."
)


def hits_page(
    path: Path,
    title: str,
    caption: str,
    answers: Sequence[Answer],
    *,
    gallery: Pictures,
    legend: bool = False,
) -> None:
    """Write a self-contained HTML page: every text escaped, all images in it, nothing loaded from elsewhere.

    An image that cannot be loaded becomes its id. Raises UserError when the file cannot be written.
    """
    body = "".join(_answer_html(answer, gallery) for answer in answers)
    note = f"<p class=note>{LEGEND}</p>" if legend else ""
    page = _PAGE.format(title=escape(title), caption=escape(caption), note=note, body=body)
    with _writing(path):
        path.write_text(page, encoding="utf-8", errors="backslashreplace")


def _answer_html(answer: Answer, gallery: Pictures) -> str:
    strips = "".join(
        f'<p>{escape(strip.title)}</p><div class="strip">'
        + "".join(_tile_html(tile, gallery) for tile in strip.tiles)
        + "</div>"
        for strip in answer.strips
    )
    query = image_html(lambda: answer.query, answer.name)
    name = "" if isinstance(answer.query, str) else f"<figcaption>{escape(answer.name)}</figcaption>"
    return f"<article><figure>{query}{name}</figure><div>{strips}</div></article>\n"


def _tile_html(tile: Tile, gallery: Pictures) -> str:
    image = image_html(partial(gallery.load, tile.row), gallery.ids[tile.row])
    marked = ' class="marked"' if tile.marked else ""
    return f"<figure{marked}><span>{image}</span><figcaption>{escape(tile.score)}</figcaption></figure>"


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


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --miss: #d9480f; }}
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }}
h1 {{ font-size: 1.4rem; margin-bottom: .2rem; overflow-wrap: anywhere; }}
p {{ margin: .2rem 0; }} .note, div > p {{ opacity: .7; font-size: .85rem; }}
article {{ display: flex; gap: 1.5rem; border-top: 1px solid var(--line); padding: 1rem 0; }}
figure {{ margin: 0; width: 84px; overflow-wrap: anywhere; font-size: .75rem; text-align: center; }}
article > figure {{ width: 9rem; flex: none; text-align: left; }}
article > figure img {{ max-width: 9rem; background: #fff; }}
q {{ font-size: 1rem; }}
.strip {{ display: flex; flex-wrap: wrap; gap: 10px; margin-bottom: .6rem; }}
.strip span {{ width: 84px; height: 84px; display: grid; place-items: center; overflow: hidden;
  border-radius: 4px; outline: 1px solid var(--line); background: #fff; color: #222; }}
.strip img {{ width: 84px; height: 84px; object-fit: contain; }}
.marked span {{ outline: 3px solid var(--miss); }}
@media (max-width: 45rem) {{ article {{ flex-direction: column; }} }}
</style></head><body>
<h1>{title}</h1>
<p>{caption}</p>
{note}{body}
</body></html>
"""


def hits_sheet(path: Path, answers: Sequence[Answer], gallery: Pictures) -> None:
    """Write :func:`draw_sheet` to ``path``, a PNG. Raises UserError when the file cannot be written."""
    sheet = draw_sheet(answers, gallery)
    with _writing(path):
        sheet.save(path, "PNG", optimize=True)


def draw_sheet(answers: Sequence[Answer], gallery: Pictures) -> Image:
    """Return an RGB image with a line for each answer: the query, then what was found, scores below."""
    from PIL import Image, ImageDraw, ImageFont

    step = TILE + GAP
    strip_height = LINE + TILE + LINE + GAP
    most = max((len(strip.tiles) for answer in answers for strip in answer.strips), default=0)
    left = EDGE + TILE + 3 * GAP
    strips = sum(len(answer.strips) for answer in answers)
    sheet = Image.new(
        "RGB", (left + most * step + EDGE - GAP, strips * strip_height + 2 * EDGE - GAP), "white"
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    top = EDGE
    for answer in answers:
        _draw_query(sheet, draw, answer, top + LINE, font)
        for strip in answer.strips:
            draw.text((left, top), _drawable(strip.title), fill=GREY, font=font)
            for place, tile in enumerate(strip.tiles):
                at = (left + place * step, top + LINE)
                _paste(sheet, draw, partial(gallery.load, tile.row), at, tile.marked)
                draw.text((at[0], at[1] + TILE + 3), tile.score, fill=GREY, font=font)
            top += strip_height
    return sheet


def _draw_query(sheet: Image, draw: ImageDraw, answer: Answer, top: int, font: Any) -> None:
    if isinstance(answer.query, str):
        text = "\n".join(textwrap.wrap(_drawable(f"“{answer.query}”"), 15)[:5])
        draw.multiline_text((EDGE, top), text, fill="black", font=font)
        return
    image = answer.query
    _paste(sheet, draw, lambda: image, (EDGE, top), marked=False)
    name = _drawable(Path(answer.name).name)
    draw.text((EDGE, top + TILE + 3), textwrap.shorten(name, 15, placeholder="…"), fill=GREY, font=font)


def _paste(
    sheet: Image, draw: ImageDraw, load: Callable[[], Image], at: tuple[int, int], marked: bool
) -> None:
    left, top = at
    with suppress(Exception):  # a picture that cannot be drawn must not cost the sheet
        small = load().convert("RGB")
        small.thumbnail((TILE, TILE))
        sheet.paste(small, (left + (TILE - small.width) // 2, top + (TILE - small.height) // 2))
    frame = (left - 1, top - 1, left + TILE, top + TILE)
    draw.rectangle(frame, outline=OUTLINE if marked else "#dddddd", width=3 if marked else 1)


def _drawable(text: str) -> str:
    """What the built-in font has: other characters become question marks."""
    return "".join(character if character in "“”…·–" or character.isascii() else "?" for character in text)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The system's refusal to write a file as one of our sentences."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); name another place"
        ) from error
