"""``lookalike index``: what a FAISS file holds; indexes of shards, built apart and merged."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lookalike.cli.parsing import Parser
from lookalike.errors import IndexingError
from lookalike.machine.filesystems import require_writable
from lookalike.progress import RichProgress
from lookalike.terminal.printing import print_wrapped


def main(arguments: Sequence[str]) -> int:
    """Describe, merge or build index files."""
    options = _parser().parse_args(arguments)
    code: int = options.act(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike index",
        description="FAISS index files: what one holds; indexes of shards, built apart and merged.",
    )
    verbs = parser.add_subparsers(required=True, metavar="info | build | merge")

    info = verbs.add_parser("info", help="describe any FAISS index file")
    info.add_argument("file", type=Path)
    info.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    info.set_defaults(act=_info)

    build = verbs.add_parser(
        "build",
        help="build the index of an experiment, or of some of its shards, into the store",
        description="Prints the path of each file, one a line. Without --shards: the whole index.",
    )
    build.add_argument("overrides", nargs="*", help="as for `lookalike run`: index=ivf_flat index.nlist=1024")
    build.add_argument(
        "--shards",
        type=_numbers,
        metavar="N,N",
        help="index these embeddings shards apart, numbered from 0; `merge`, or a run with "
        "index.shards_apart=true, makes one index of them",
    )
    build.add_argument("--config-dir", help="a folder with your own configs")
    build.set_defaults(act=_build)

    merge = verbs.add_parser(
        "merge",
        help="one index file of several that were filled from the same trained index",
        description="Vectors keep their ids; where ids are positions they go on from file to file.",
    )
    merge.add_argument("files", type=Path, nargs="+", metavar="FILE")
    merge.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    merge.add_argument(
        "--renumber", action="store_true", help="each file has ids from 0: count on from one to the next"
    )
    merge.add_argument("--force", action="store_true", help="replace OUT")
    merge.set_defaults(act=_merge)
    return parser


def _numbers(text: str) -> list[int]:
    try:
        return sorted({int(number) for number in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers such as 0,1") from error


def _info(options: argparse.Namespace) -> int:
    from lookalike.index.probing import probe

    about = probe(options.file)
    if options.json:
        print(json.dumps(about))
        return 0
    width = max(map(len, about))
    for name, value in about.items():
        print(f"{name.replace('_', ' '):<{width}}  {_readable(value)}")
    return 0


def _readable(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={setting}" for name, setting in value.items())
    return "–" if value is None else str(value)


def _build(options: argparse.Namespace) -> int:
    from lookalike.config.composing import compose
    from lookalike.config.planning import plan
    from lookalike.datasets import open_dataset
    from lookalike.embed.embedder import Embedder
    from lookalike.embed.models import open_model
    from lookalike.index.build import build_index, build_parts
    from lookalike.queries import plan_queries
    from lookalike.runs.session import Session
    from lookalike.sweep.task import require_places

    composed = compose(options.overrides, options.config_dir)
    progress = RichProgress()
    experiment = plan(composed, progress).experiment
    require_places(experiment, tracked=False)
    for line in experiment.choices:
        progress.say(line)
    store, model, config = Session(experiment, progress).store, experiment.model, experiment.index
    queries = plan_queries(experiment.queries, open_dataset(experiment.dataset, progress, store))
    gallery = Embedder.of(open_model(model), model, store, progress).embed(queries.gallery)
    if options.shards is not None:
        made = build_parts(config, gallery, options.shards, store, progress)
        paths = [file for part in made for file in map(part.file, part.manifest["files"])]
    else:
        built = build_index(config, gallery, store, progress)
        paths = [built.index.file(name) for name in built.index.manifest["files"]] if built.index else []
    for path in paths:
        print(path)
    return 0


def _merge(options: argparse.Namespace) -> int:
    from lookalike.index.files import whole_file, write_index
    from lookalike.index.merging import examine, merge_parts
    from lookalike.index.probing import probe

    target: Path = options.output
    if target.exists() and any(file.exists() and file.samefile(target) for file in options.files):
        raise IndexingError(f"{target} is one of the files to merge; name another file with -o")
    if target.exists() and not target.is_file():
        raise IndexingError(f"{target} is not a file; name one with -o")
    if target.exists() and not options.force:
        raise IndexingError(
            f"{target} is there already; name another file with -o, or replace it with --force"
        )
    require_writable(target.parent, cure="name another file with -o")
    for file in options.files:
        probe(file)
    with whole_file(target) as place:
        members = [examine(file) for file in options.files]
        total = sum(part.vectors for part in members)
        with RichProgress().bar("merging", total, "vectors") as bar:
            write_index(merge_parts(members, options.renumber, bar.advance), place)
    print_wrapped(f"{total:,} vectors of {len(members)} files in {target}")
    return 0
