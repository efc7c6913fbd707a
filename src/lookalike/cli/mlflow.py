"""``lookalike mlflow``: MLflow's UI on the local results (a bare ``mlflow ui`` makes an empty database)."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from lookalike.errors import TrackingError
from lookalike.schemas import Paths
from lookalike.tracking import local_page, local_uri

OPEN_BROWSER_WITHIN_SECONDS = 60.0
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Job queues are for MLflow's evaluation of language models: eight processes that nothing here uses."""


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser("lookalike mlflow", description="Open MLflow's UI on the local results.")
    parser.add_argument(
        "--root", help="paths.root of the runs; default: LOOKALIKE_HOME, else the working directory"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--no-browser", action="store_true", help="only serve")
    options = parser.parse_args(arguments)
    root = Path(options.root or os.environ.get("LOOKALIKE_HOME", Paths.root)).expanduser().resolve()
    command = server_command(root, options.host, options.port)
    page = address(options.host, options.port) + local_page(root)
    print(f"MLflow on {page} (Ctrl-C ends it)", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the server would outlive us
    server = subprocess.Popen(command, env={**QUIET, **os.environ})
    if not options.no_browser:
        opener = threading.Thread(
            target=_open_browser, args=(server, page, options.host, options.port), daemon=True
        )
        opener.start()
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0


def server_command(root: Path, host: str, port: int) -> list[str]:
    """How MLflow is started on the database under ``root``.

    Raises TrackingError when nothing was tracked there yet, or when the port is taken.
    """
    database = root / Paths.mlruns / "mlflow.db"
    if not database.is_file():
        raise TrackingError(
            f"there is no {database}; run an experiment there first, or name its folder with --root"
        )
    if not is_free(host, port):
        raise TrackingError(f"port {port} is taken; choose another one: lookalike mlflow --port {port + 1}")
    uri = local_uri(root)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    return [*command, "--backend-store-uri", uri, "--host", host, "--port", str(port)]


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on ``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds it."""
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"


def _open_browser(server: subprocess.Popen[bytes], page: str, host: str, port: int) -> None:
    """Open ``page`` in a tab as soon as the server answers."""
    deadline = time.monotonic() + OPEN_BROWSER_WITHIN_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                webbrowser.open(page)
                return
        time.sleep(0.2)
