"""How a script of this package becomes a local server, and the process that it runs in.

Streamlit keeps uploads in memory and serves no file of the disk but its own frontend: pictures travel inside
the page. What it spools of a request goes to TMPDIR, a folder that the verb makes and removes.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lookalike.errors import UserError
from lookalike.machine.processes import python_command

SEARCH = "app.py"
JUDGE = "judge_app.py"

UPLOAD_MB = 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def server_command(script: str, host: str, port: int, arguments: Sequence[str]) -> list[str]:
    """Return the command that serves ``script`` on ``host``. Raises UserError without Streamlit."""
    if importlib.util.find_spec("streamlit") is None:
        raise UserError('the browser apps need Streamlit; install it: pip install "lookalike[ui]"')
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,  # neither a tab nor the question for an e-mail address
        "server.fileWatcherType": "none",
        "server.maxUploadSize": UPLOAD_MB,
        "server.enableStaticServing": False,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": host,  # else Streamlit asks a server on the internet who we are
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",
        "runner.magicEnabled": False,  # else strings of the script appear on the page
        "theme.paddingTop": "2.5rem",
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
    }
    flags = [f"--{name}={str(value).lower()}" for name, value in options.items()]
    if host in LOOPBACK:  # a name of the internet that was made to point here (DNS rebinding) is not answered
        flags += [f"--server.allowedHosts={name}" for name in LOOPBACK]
    place = str(Path(__file__).with_name(script))
    return python_command("lookalike.ui.server", "run", place, *flags, "--", *arguments)


def packed(options: Mapping[str, Any]) -> str:
    """Return options as the one argument that a script gets."""
    return json.dumps(options)


def unpacked(arguments: Sequence[str]) -> dict[str, Any]:
    """Return options from the arguments of a script."""
    [text] = arguments
    options: dict[str, Any] = json.loads(text)
    return options


def main() -> None:
    """Do what ``streamlit`` does with the same arguments, for websockets of its own page only.

    Streamlit takes a websocket from every page on localhost, whatever its port, and no setting of its changes
    that: another program's page could search the gallery and read the answers.
    """
    from streamlit.web import cli
    from streamlit.web.server.starlette import starlette_websocket

    # Asked about origins that are not the page's own, which the server has let in already.
    module: Any = starlette_websocket
    if not hasattr(module, "is_url_from_allowed_origins"):
        sys.exit("this version of Streamlit checks origins elsewhere; pip install 'lookalike[ui]' again")
    module.is_url_from_allowed_origins = _is_no_other_page
    cli.main(prog_name="streamlit")


def _is_no_other_page(url: str) -> bool:
    return False


if __name__ == "__main__":
    main()
