"""Verbs that serve a page: the port, the tab in the browser, and the end of the server."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import threading
import time
import webbrowser
from collections.abc import Mapping, Sequence

from lookalike.errors import UserError
from lookalike.machine.processes import child_environment

OPEN_BROWSER_WITHIN_SECONDS = 60.0


def add_serving_options(parser: argparse.ArgumentParser, port: int) -> None:
    """``--host``, ``--port`` and ``--no-browser``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=port, help="default: %(default)s")
    parser.add_argument("--no-browser", action="store_true", help="only serve")


def require_free(host: str, port: int, verb: str) -> None:
    """Raise UserError when ``port`` is taken."""
    if not is_free(host, port):
        raise UserError(f"port {port} is taken; choose another one: lookalike {verb} --port {port + 1}")


def is_free(host: str, port: int) -> bool:
    """Return whether ``port`` is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def address(host: str, port: int) -> str:
    """Return the address at which a browser on this machine finds it."""
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"


def serve(
    command: Sequence[str], environment: Mapping[str, str], page: str, options: argparse.Namespace
) -> int:
    """Run the server until it ends or Ctrl-C (or SIGTERM) ends it; open ``page`` once it answers.

    ``options``: what :func:`add_serving_options` added, parsed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the server would outlive us
    server = subprocess.Popen(
        command,
        env=child_environment(environment),
        preexec_fn=_ignore_interrupts,  # noqa: PLW1509 — it takes no lock
    )
    if not options.no_browser:
        opening = (server, page, options.host, options.port)
        threading.Thread(target=_open_browser, args=opening, daemon=True).start()
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the verb, which ends the server.

    A server that is still importing would print a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open_browser(server: subprocess.Popen[bytes], page: str, host: str, port: int) -> None:
    """Open ``page`` in a tab as soon as the server answers."""
    deadline = time.monotonic() + OPEN_BROWSER_WITHIN_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                webbrowser.open(page)
                return
        time.sleep(0.2)
