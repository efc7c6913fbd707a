"""A grid of pictures to click: our own component, whose texts never become markup."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from lookalike.ui.thumbnails import MIME

HTML = '<div class="grid"></div>'

CSS = """
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--tile), 1fr)); gap: 8px;
  font-family: var(--st-font); color: var(--st-text-color); }
.tile { all: unset; box-sizing: border-box; position: relative; display: flex; flex-direction: column;
  border-radius: 8px; border: 2px solid var(--st-border-color-light, #8883); overflow: hidden;
  background: var(--st-secondary-background-color); font-size: 12px; line-height: 1.3; }
button.tile { cursor: pointer; }
button.tile:hover { background: var(--st-primary-color); color: #fff; }
button.tile:hover .picture { opacity: .85; }
button.tile:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.picture { aspect-ratio: 1; background: #fff; display: grid; place-items: center; overflow: hidden; }
.picture img { width: 100%; height: 100%; object-fit: contain; }
.picture span { color: #555; padding: 4px; overflow-wrap: anywhere; text-align: center; }
.note { padding: 3px 6px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  font-variant-numeric: tabular-nums; }
.badge { position: absolute; top: 4px; left: 4px; padding: 0 6px; border-radius: 6px; font-weight: 600;
  color: #fff; background: #5a6270; }
.missed, .wrong { border: 3px solid #d9480f; } .wrong { border-style: dashed; }
.missed .badge, .wrong .badge { background: #d9480f; }
.relevant { border: 3px solid #2b8a3e; } .relevant .badge { background: #2b8a3e; }
"""

JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  grid.style.setProperty("--tile", data.size + "px");
  grid.style.maxWidth = data.tiles.length === 1 ? data.size + "px" : "";
  const text = (name, content) => {
    const element = document.createElement("span");
    element.className = name;
    element.textContent = content;
    return element;
  };
  grid.replaceChildren(...data.tiles.map((tile) => {
    const element = document.createElement(data.clickable ? "button" : "div");
    element.className = "tile " + tile.mark;
    element.title = tile.id;
    const picture = text("picture", "");
    if (tile.source) {
      const image = document.createElement("img");
      image.src = tile.source;
      image.alt = tile.id;
      picture.append(image);
    } else {
      picture.append(text("", tile.id + " cannot be shown"));
    }
    element.append(picture);
    if (tile.note) element.append(text("note", tile.note));
    if (tile.badge) element.append(text("badge", tile.badge));
    if (data.clickable) element.onclick = () => setTriggerValue("picked", tile.id);
    return element;
  }));
}
"""

_component = st.components.v2.component("lookalike.tiles", html=HTML, css=CSS, js=JS)


@dataclass(frozen=True)
class Tile:
    """One picture of a grid."""

    id: str
    """What a click on it says; also its tooltip."""
    source: str | None
    """A ``data:`` address; None: the picture cannot be shown."""
    note: str = ""
    """The line below it."""
    mark: str = ""
    """``missed``, ``wrong``, ``relevant`` or nothing: its frame."""
    badge: str = ""
    """The word in its corner."""


def inlined(thumbnail: bytes | None) -> str | None:
    """A thumbnail as an address that needs no request."""
    return None if thumbnail is None else f"data:{MIME};base64,{base64.b64encode(thumbnail).decode('ascii')}"


def show_tiles(
    tiles: Sequence[Tile], key: str, on_pick: Callable[[str], None] | None = None, size: int = 104
) -> None:
    """Show ``tiles``, at least ``size`` pixels wide each; ``on_pick`` gets the id of the one clicked."""

    def picked() -> None:
        if on_pick is not None and (id_ := st.session_state[key].picked) is not None:
            on_pick(id_)

    _component(
        key=key,
        data={"tiles": [asdict(tile) for tile in tiles], "clickable": on_pick is not None, "size": size},
        on_picked_change=picked,
    )


_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


def plain(text: str) -> str:
    """Return ``text`` as Streamlit shows it letter by letter where it expects Markdown."""
    return _MARKUP.sub(r"\\\1", text)
