"""``lookalike query``: the nearest images of a run's gallery to an image, or to a caption."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from lookalike.cli.answers import (
    Answered,
    Query,
    as_json,
    pictured,
    point_in_words,
    print_answers,
    printable,
    score_name,
)
from lookalike.cli.parsing import Parser
from lookalike.datasets.images import EXTENSIONS, UNREADABLE_EXTENSIONS, decode
from lookalike.errors import ImageError, QueryError
from lookalike.machine.filesystems import require_writable
from lookalike.progress import RichProgress
from lookalike.report.hits import hits_page, hits_sheet
from lookalike.runs.catalog import find_run
from lookalike.runs.retriever import Retriever
from lookalike.schemas import ImageDataset, Paths

SETTINGS = ("nprobe", "ef_search", "k_factor")
SHOWN_BY_DEFAULT = 10
PATH_STARTS = ("/", "./", "../", "~", ".\\", "..\\")


def main(arguments: Sequence[str]) -> int:
    """Search for every image or caption and print what was found."""
    options = _parser().parse_args(arguments)
    pages = [path.parent for path in (options.html, options.png) if path]
    require_writable(*pages, cure="name another place")
    root = Path(options.root or os.environ.get("LOOKALIKE_HOME", Paths.root)).expanduser()
    progress = RichProgress(quiet=True)
    place = find_run(root, options.run)
    most = place.record.config.get("dataset", {}).get("max_pixels", ImageDataset.max_pixels)
    queries = [read_query(word, most) for word in options.queries]
    retriever = Retriever.open(place, root, progress)
    settings = {name: value for name in SETTINGS if (value := getattr(options, name)) is not None}
    answered = [_answer(retriever, query, options, settings) for query in queries]
    if options.json:
        print(json.dumps(as_json(retriever, answered, settings), indent=1))
    else:
        print_answers(retriever, answered, settings)
    _draw(retriever, answered, settings, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike query",
        description="The nearest images of a run's gallery to an image, or to a caption.",
        epilog="A word is an image if there is such a file, if it begins as a path does (/ ./ ../ ~) or ends "
        "as an image file does (.jpg, .png ...); anything else is a caption, for models with a text tower.",
    )
    parser.add_argument("queries", nargs="+", metavar="IMAGE|CAPTION", help='cat.jpg, or "a cat asleep"')
    parser.add_argument(
        "--run",
        help="latest (default), an MLflow run id, a sweep's name (its best point), or the path of an output "
        "folder; and a point of it after a colon: emoji:nprobe=8",
    )
    parser.add_argument(
        "--root", help="paths.root of the runs; default: LOOKALIKE_HOME, else the working directory"
    )
    parser.add_argument("--k", type=int, help=f"how many to find; default: {SHOWN_BY_DEFAULT}")
    for name in SETTINGS:
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, metavar="N", help="instead of the run's own")
    parser.add_argument(
        "--compare", choices=["exact"], help="show the exact answer beside the index's, and what was missed"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page of the images found")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write a contact sheet of the images found")
    parser.add_argument(
        "--open", action="store_true", help="open the page (or the contact sheet) in the browser"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def read_query(word: str, max_pixels: int) -> Query:
    """The image or the caption that ``word`` is; QueryError when it is an image that cannot be had."""
    path = Path(word).expanduser()
    if not is_image(word):
        if not word.strip():
            raise QueryError("an empty caption finds nothing; name an image, or say what it shows")
        return Query(word, word)
    try:
        return Query(word, decode(path, max_pixels))
    except ImageError as error:
        reason = str(error).partition("; ")[0]
        raise QueryError(f"{printable(word)} cannot be searched for: {reason}; name another image") from error


def is_image(word: str) -> bool:
    """Whether a word names an image file, there or not; see the verb's help."""
    try:
        there = Path(word).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # longer than a name can be, or holds what no name can
        there = False
    ending = Path(word).suffix.lower()
    return there or word.startswith(PATH_STARTS) or ending in EXTENSIONS | UNREADABLE_EXTENSIONS


def _answer(
    retriever: Retriever, query: Query, options: argparse.Namespace, settings: Mapping[str, int]
) -> Answered:
    k = options.k if options.k is not None else min(SHOWN_BY_DEFAULT, retriever.max_k)
    if isinstance(query.content, str):
        vector = retriever.embed_text(query.content)
    else:
        vector = retriever.embed_image(query.content)
    if options.compare is None:
        return Answered(query, retriever.search(vector, k, settings), None)
    comparison = retriever.compare(vector, k, settings)
    return Answered(query, comparison.found, comparison)


def _draw(
    retriever: Retriever,
    answered: Sequence[Answered],
    settings: Mapping[str, int],
    options: argparse.Namespace,
) -> None:
    """Write what was asked for, and open it; ``--open`` alone makes a page of its own."""
    if options.open and not (options.html or options.png):
        options.html = Path(tempfile.mkdtemp(prefix="lookalike-")) / "query.html"
    if not (options.html or options.png):
        return
    sheet = [pictured(one) for one in answered]
    if options.html:
        names = ", ".join(printable(Path(one.query.name).name) for one in answered[:3])
        title = f"Nearest to {names}{' …' if len(answered) > 3 else ''}"
        caption = f"{point_in_words(retriever, settings)} · below each image: {score_name(retriever)}"
        hits_page(
            options.html, title, caption, sheet, gallery=retriever.gallery, legend=bool(options.compare)
        )
    if options.png:
        hits_sheet(options.png, sheet, retriever.gallery)
    written = options.html or options.png
    if not options.json:
        print(
            f"wrote {' and '.join(str(path) for path in (options.html, options.png) if path)}",
            file=sys.stderr,
        )
    if options.open:
        webbrowser.open(written.resolve().as_uri())
