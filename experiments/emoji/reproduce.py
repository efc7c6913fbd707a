"""Run the study again: six operating points on the default data, then the figures that the README shows.

    python experiments/emoji/reproduce.py [--root FOLDER]

Everything is written under FOLDER (default: the working directory); results and figures replace those
here, and the table in the README.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lookalike
from lookalike.report.hits import Pictures
from lookalike.report.losses import LostQuery, lost_queries

HERE = Path(__file__).parent
BLOCKS = [["index=brute_force,flat"], ["index=ivf_flat", "search.nprobe=[1,8,32]"], ["index=hnsw"]]
MARKS = ("<!-- experiments/emoji/comparison.md -->", "<!-- end -->")
TOO_FAST = "ivf_flat nlist=64 nprobe=1"
SHOWN = 6
MISSED = {"crop": 4, "blur": 2, "rotate": 3}
"""Edit -> how many of the shown exact neighbours are missed: all or nothing would show less."""


def main() -> None:
    """Sweep, copy, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    root = parser.parse_args().root.resolve()
    lookalike.run_sweep("sweep.name=emoji", "search.seconds=3", blocks=BLOCKS, root=root)
    for name in ("comparison.csv", "comparison.md", "pareto.png"):
        shutil.copy(root / "multirun/emoji" / name, HERE / name)
    quote_table()
    contact_sheet(*worth_seeing(root), HERE / "contact_sheet.png", SHOWN)


def quote_table() -> None:
    """Put the table into the README, between its marks."""
    readme = HERE.parents[1] / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    quoted = (HERE / "comparison.md").read_text(encoding="utf-8").partition("\n")[2].strip()
    readme.write_text(f"{before}{MARKS[0]}\n\n{quoted}\n\n{MARKS[1]}{after}", encoding="utf-8")


def worth_seeing(root: Path) -> tuple[list[LostQuery], Pictures]:
    """Queries that exact search answers with the original and the too-fast index does not, one an edit."""
    run = lookalike.open_run(f"emoji:{TOO_FAST}", root=root).run
    edits = np.array(run.plan.edits)
    solved = run.relevance.are_relevant(run.exact_neighbours.rows[:, :1])[:, 0]
    chosen = []
    for edit, missed in MISSED.items():
        lost = lost_queries(run, np.flatnonzero(solved & (edits == edit)).tolist())
        chosen.append(next(query for query in reversed(lost) if missed_among_shown(query) == missed))
    return chosen, run.images


def contact_sheet(
    queries: Sequence[LostQuery], gallery: Pictures, path: Path, shown: int = 6, tile: int = 72
) -> None:
    """Draw one line a query into ``path``, a PNG: the query, the exact answer, the index's answer.

    Exact neighbours that the index missed, and returned images that are not exact neighbours, are outlined.
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
    sheet.save(path, optimize=True)


def missed_among_shown(query: LostQuery) -> int:
    """How many of the exact neighbours that the sheet shows the index did not return."""
    return sum(row in query.missed for row in query.exact[:SHOWN])


if __name__ == "__main__":
    main()
