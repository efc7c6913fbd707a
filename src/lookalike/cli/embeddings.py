"""``lookalike embeddings``: vectors from and for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.config.typed import pasted
from lookalike.datasets.formats.formats import AUTO, FORMATS
from lookalike.errors import UserError
from lookalike.export.vectors.bundle import Bundle, bundle_of_files, bundle_of_run
from lookalike.export.vectors.writing import KINDS, write_bundle
from lookalike.machine.filesystems import require_writable
from lookalike.progress import Progress, RichProgress
from lookalike.runs.opener import open_finished
from lookalike.schemas import EmbeddingsDataset
from lookalike.terminal.printing import print_wrapped

HDF5_SUFFIXES = FORMATS["hdf5"].suffixes


def main(arguments: Sequence[str]) -> int:
    """Import or export, and say what was written."""
    options = _parser().parse_args(arguments)
    if options.shard_size < 1:
        raise UserError(f"--shard-size={options.shard_size} is too small; give 1 or more")
    progress = RichProgress()
    kind: str = options.to or ("hdf5" if options.target.suffix.lower() in HDF5_SUFFIXES else "npy")
    target = options.target.expanduser()
    require_writable(target.parent, cure="name another place to write to")
    bundle = _bundle(options, progress)
    write_bundle(bundle, target, kind, options.shard_size, progress)
    print_wrapped(f"{_described(bundle)} in {target}")
    for notice in bundle.notices:
        progress.say(notice)
    print_wrapped(f"search them: lookalike run {_overrides(bundle, target)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike embeddings", description="Vectors from and for other programs, passed on block by block."
    )
    verbs = parser.add_subparsers(required=True, metavar="import | export")
    importing = verbs.add_parser(
        "import",
        help="vectors in any format into a folder as clip-retrieval has them",
        description="Write vectors of any format that dataset=embeddings reads as float32 .npy shards with a "
        "parquet of ids beside each; the queries that came with them (in an ann-benchmarks HDF5, or in "
        "queries/ beside them), their neighbours and relevance too.",
    )
    importing.add_argument("source", help="a file of vectors, or a folder of them")
    importing.add_argument("target", type=Path, help="a new folder, or an empty one")
    importing.set_defaults(to="npy", run=None)
    _add_source_options(importing)

    exporting = verbs.add_parser(
        "export",
        help="what a run embedded, with its queries and exact neighbours, for other programs",
        description="Write the vectors that a run searched, its queries and their exact neighbours, or "
        "vectors from files: as clip-retrieval's folder, one HDF5 as ann-benchmarks reads it, fbin or fvecs.",
    )
    exporting.add_argument("target", type=Path, help="a new folder, or a new file that ends in .hdf5")
    exporting.add_argument("--to", choices=sorted(KINDS), help="default: hdf5 for such a file, else npy")
    chosen = exporting.add_mutually_exclusive_group()
    chosen.add_argument(
        "--run",
        default="latest",
        help="latest, an MLflow run id, a sweep's name, or the path of an output folder; default: latest",
    )
    chosen.add_argument("--from", dest="source", metavar="SOURCE", help="files of vectors instead of a run")
    add_root_option(exporting)
    _add_source_options(exporting)
    return parser


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=(AUTO, *FORMATS), default=AUTO, help="of the source; default: auto"
    )
    parser.add_argument("--array", help="name of the vectors in a source of several arrays (npz, hdf5)")
    parser.add_argument("--id-column", help="column of the source's parquets that holds the ids")
    parser.add_argument("--label-column", help="column of the source's parquets to pass on as labels")
    parser.add_argument("--caption-column", help="column of the source's parquets to pass on as captions")
    parser.add_argument(
        "--cosine", action="store_true", help="the source's vectors are compared by cosine, whatever it says"
    )
    parser.add_argument(
        "--drop-zeros", action="store_true", help="leave out (and count) vectors that are all zeros"
    )
    parser.add_argument(
        "--shard-size", type=int, default=100_000, help="vectors in one .npy; default: %(default)s"
    )


def _bundle(options: argparse.Namespace, progress: Progress) -> Bundle:
    if options.source is None:
        return bundle_of_run(open_finished(options.run, options.root, progress=progress))
    config = EmbeddingsDataset(
        root=options.source,
        format=options.format,
        array=options.array,
        id_column=options.id_column,
        label_column=options.label_column,
        caption_column=options.caption_column,
        normalize=True if options.cosine else None,
        drop_zeros=options.drop_zeros,
    )
    return bundle_of_files(config, progress)


def _overrides(bundle: Bundle, folder: Path) -> str:
    """What searches an imported folder as its source wanted it searched."""
    parts = ["dataset=embeddings", pasted("dataset.root", str(folder))]
    if bundle.of_directions:
        parts.append("dataset.normalize=true")
    elif bundle.metric is not None:  # else nobody said what the vectors are compared by
        parts.append("dataset.normalize=false")
    if bundle.metric == "ip" and not bundle.of_directions:
        parts.append("index.metric=ip")
    return " ".join([*parts, f"queries={'in_gallery' if bundle.queries is None else 'vectors'}"])


def _described(bundle: Bundle) -> str:
    parts = [f"{len(bundle.gallery):,} vectors of {bundle.gallery.dim:,} dimensions"]
    if bundle.queries is not None:
        parts.append(f"{len(bundle.queries):,} queries")
    if bundle.neighbours is not None:
        parts.append(f"{bundle.neighbours.shape[1]} exact neighbours each")
    if bundle.plan is not None and bundle.plan.judged:
        parts.append("and what each should find")
    return ", ".join(parts)
