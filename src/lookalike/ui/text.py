"""Words that Streamlit is to show as they are, where it expects Markdown."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


def plain(text: str) -> str:
    """``text``, letter by letter: file names in it become no markup."""
    return _MARKUP.sub(r"\\\1", text)
