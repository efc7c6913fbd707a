"""``lookalike mlflow``: MLflow's UI on the local results (a bare ``mlflow ui`` makes an empty database)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.cli.serving import add_serving_options, address, is_free, serve
from lookalike.errors import TrackingError
from lookalike.machine.filesystems import results_root
from lookalike.machine.processes import python_command
from lookalike.schemas import Paths
from lookalike.terminal.printing import print_wrapped
from lookalike.tracking import local_page, local_uri
from lookalike.tracking.home import ARTIFACTS, DATABASE, open_home

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Job queues are for MLflow's evaluation of language models: eight processes that nothing here uses."""


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C."""
    parser = Parser("lookalike mlflow", description="Open MLflow's UI on the local results.")
    add_root_option(parser)
    add_serving_options(parser, port=5000)
    options = parser.parse_args(arguments)
    root = results_root(options.root)
    command = server_command(root, options.host, options.port)
    page = address(options.host, options.port) + local_page(root)
    print_wrapped(f"MLflow on {page} (Ctrl-C ends it)")
    quiet = {name: os.environ.get(name, value) for name, value in QUIET.items()}
    return serve(command, quiet, page, options)


def server_command(root: Path, host: str, port: int) -> list[str]:
    """How MLflow is started on the database under ``root``.

    In a home that was moved or copied, addresses are corrected first. Raises TrackingError when nothing
    was tracked there yet, when the database is damaged, or when the port is taken.
    """
    database = root / Paths.mlruns / DATABASE
    if not database.is_file():
        raise TrackingError(
            f"there is no {database}; run an experiment there first, or name its folder with --root"
        )
    if not is_free(host, port):
        raise TrackingError(f"port {port} is taken; choose another one: lookalike mlflow --port {port + 1}")
    home = database.parent
    open_home(home, to_write=False)
    command = python_command("mlflow", "server", "--workers", "1")
    command += ["--backend-store-uri", local_uri(root)]
    command += ["--artifacts-destination", (home / ARTIFACTS).as_uri()]  # of experiments begun in the UI
    return [*command, "--host", host, "--port", str(port)]
