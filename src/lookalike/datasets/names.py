"""Names of files: as ids that no two files share, and found again however a person's table writes them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

RAW = "./"
"""How the id of a file begins whose name is not UTF-8; no path below a folder begins so."""


def id_of(path: str | bytes) -> str:
    """Return the id of a file: its path below the root, as parquet and JSON can hold it.

    Bytes that are not UTF-8 are spelled out, ``./caf\\xe9.jpg``, backslashes of such a name doubled: another
    file that is really called so has another id.
    """
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return RAW + raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def printable(path: str) -> str:
    """Return ``path`` for people to read: bytes that are not UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Names:
    """Finds ids by what tables call them.

    A name is an id as it stands; else the only one that differs from it in Unicode's composition (é as one
    character or as e and an accent: systems write either), or in how bytes that are not UTF-8 are spelled.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = frozenset(ids)
        self._others: dict[str, str | None] = {}
        for id_ in self._ids:
            if not id_.isascii() or id_.startswith(RAW):
                other = _composed(id_)
                self._others[other] = None if other in self._others else id_

    def find(self, name: str) -> str | None:
        """Return the id that is called ``name``; None when there is none, or more than one may be meant."""
        return name if name in self._ids else self._others.get(_composed(name))


def _composed(name: str) -> str:
    plain = name.removeprefix(RAW)
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)
