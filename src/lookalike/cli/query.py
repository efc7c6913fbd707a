"""``lookalike query``: the nearest images of a run's gallery to an image, or to a caption."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.cli.query_output import (
    point_described,
    print_results,
    printable,
    results_as_json,
    score_name,
)
from lookalike.machine.filesystems import require_writable, results_root
from lookalike.progress import RichProgress
from lookalike.report.hits import hits_page, hits_sheet
from lookalike.runs.catalog import find_point
from lookalike.runs.opener import FinishedRun
from lookalike.search import SHOWN_BY_DEFAULT, SearchResult, open_run, query_of

SETTINGS = ("nprobe", "ef_search", "k_factor")


def main(arguments: Sequence[str]) -> int:
    """Search for every image or caption and print what was found."""
    options = _parser().parse_args(arguments)
    pages = [path.parent for path in (options.html, options.png) if path]
    require_writable(*pages, cure="name another place")
    root = results_root(options.root)
    chosen = find_point(root, options.run)
    queries = [query_of(word, chosen.record) for word in options.queries]
    opened = open_run(chosen, root=root, progress=RichProgress(quiet=True))
    settings = {name: value for name in SETTINGS if (value := getattr(options, name)) is not None}
    exact = options.compare is not None
    results = [opened.search(query, options.k, compare=exact, **settings) for query in queries]
    if options.json:
        print(json.dumps(results_as_json(opened.run, results, settings), indent=1))
    else:
        print_results(opened.run, results, settings)
    _draw(opened.run, results, settings, options)
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
    add_root_option(parser)
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


def _draw(
    run: FinishedRun,
    results: Sequence[SearchResult],
    settings: Mapping[str, int],
    options: argparse.Namespace,
) -> None:
    """Write what was asked for, and open it; ``--open`` alone makes a page of its own."""
    if options.open and not (options.html or options.png):
        options.html = Path(tempfile.mkdtemp(prefix="lookalike-")) / "query.html"
    if not (options.html or options.png):
        return
    sheet = [one.pictured() for one in results]
    if options.html:
        names = ", ".join(printable(Path(one.query.name).name) for one in results[:3])
        title = f"Nearest to {names}{' …' if len(results) > 3 else ''}"
        caption = f"{point_described(run, settings)} · below each image: {score_name(run)}"
        hits_page(options.html, title, caption, sheet, gallery=run.images, legend=bool(options.compare))
    if options.png:
        hits_sheet(options.png, sheet, run.images)
    written = options.html or options.png
    if not options.json:
        print(
            f"wrote {' and '.join(str(path) for path in (options.html, options.png) if path)}",
            file=sys.stderr,
        )
    if options.open:
        webbrowser.open(written.resolve().as_uri())
