"""``lookalike ui``: search a run's gallery in the browser."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.cli.serving import add_serving_options, address, require_free, serve
from lookalike.machine.filesystems import results_root
from lookalike.runs.catalog import find_searchable
from lookalike.terminal.printing import print_wrapped
from lookalike.ui.server import SEARCH, packed, server_command


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C. Uploads stay in memory or in a temporary folder, which is removed then."""
    parser = Parser(
        "lookalike ui", description="Search a run's gallery in the browser, by an image or a caption."
    )
    parser.add_argument(
        "--run",
        help="which run to open first: a run id, a sweep's name, a path; default: latest of images",
    )
    add_root_option(parser)
    add_serving_options(parser, port=8501)
    options = parser.parse_args(arguments)
    root = results_root(options.root)
    chosen = find_searchable(root, options.run)
    script_options = packed({"root": str(root), "run": options.run})
    command = server_command(SEARCH, options.host, options.port, [script_options])
    require_free(options.host, options.port, "ui")
    page = address(options.host, options.port)
    print_wrapped(f"searching {chosen.record.name} on {page} (Ctrl-C ends it)")
    with tempfile.TemporaryDirectory(prefix="lookalike-ui-") as temporary:
        return serve(command, {"TMPDIR": temporary}, page, options)
