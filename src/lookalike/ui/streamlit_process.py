"""Streamlit as a process of its own, whose websocket takes its own page only.

Streamlit takes a websocket from every page on localhost, whatever its port, and no setting of its changes
that: another program's page could search the gallery and read the answers.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Do what ``streamlit`` does with the same arguments."""
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
