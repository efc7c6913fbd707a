"""``lookalike export``: what goes to production of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.export.exporting import export_run
from lookalike.machine.filesystems import require_writable
from lookalike.progress import RichProgress
from lookalike.runs.opener import open_finished
from lookalike.terminal.printing import print_wrapped


def main(arguments: Sequence[str]) -> int:
    """Write the folder and say what is in it."""
    parser = Parser(
        "lookalike export",
        description="Write a run's index, ids, search settings and model into a folder, with a serve.py that "
        "answers queries as the run did and needs no Lookalike.",
    )
    parser.add_argument(
        "run",
        help="latest, an MLflow run id, a sweep's name (its best point), or the path of an output folder; "
        "and a point of it after a colon: emoji:nprobe=8",
    )
    parser.add_argument("folder", type=Path, help="a new folder, or an empty one")
    add_root_option(parser)
    parser.add_argument(
        "--copy-weights",
        action="store_true",
        help="copy a transformers checkpoint too; by default its id and revision are written down",
    )
    options = parser.parse_args(arguments)
    require_writable(options.folder, cure="name another folder to export to")
    run = open_finished(options.run, options.root, progress=RichProgress())
    files = export_run(run, options.folder.expanduser(), options.copy_weights)
    print_wrapped(f"{run.point.label} of {run.record.name}: {', '.join(map(str, files))}")
    print_wrapped(f"try it: python {options.folder / 'serve.py'} IMAGE")
    return 0
