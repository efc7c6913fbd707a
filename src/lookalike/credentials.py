"""Passwords in addresses: used to reach a server, never printed, logged or written down.

``http://user:password@host`` reaches a run by ``tracking.uri``, by ``MLFLOW_TRACKING_URI`` or in a config
file. Hydra, a sweep's ledger and ``record.json`` all keep what was composed, so the password is taken out
before any of them sees it and handed on in the environment, where the client that needs it looks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

HIDDEN = "***"
OVERRIDE = "tracking.uri="

_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/@:'\"]*):[^\s/'\"]*@", re.IGNORECASE)


def conceal(text: str) -> str:
    """``text`` with ``***`` in place of every password in an address; the user's name stays."""
    return _PASSWORD.sub(rf"\g<before>:{HIDDEN}@", text)


def concealed(value: Any) -> Any:
    """``value`` (mappings, lists, tuples, plain values) with :func:`conceal` done to every string in it."""
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, Mapping):
        return {key: concealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(concealed(item) for item in value)
    return value


def is_concealed(uri: str) -> bool:
    """Whether the password was taken out of ``uri`` by :func:`conceal`."""
    return f":{HIDDEN}@" in uri


def set_aside(uri: str, environ: MutableMapping[str, str] | None = None) -> str:
    """``uri`` without its password, which goes to where its client looks for it in ``environ``.

    Of an MLflow server's address: ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``; of
    PostgreSQL's: ``PGPASSWORD``. They replace what stands there: who names a password means it. Other
    databases have no such variable; their address is returned as it is. ``environ`` is the process's own
    by default, which its jobs inherit.
    """
    environ = os.environ if environ is None else environ
    try:
        parts = urlsplit(uri)
    except ValueError:  # no address: whoever wants to reach it will say so
        return uri
    if parts.password is None or parts.password == HIDDEN:
        return uri
    if parts.scheme in ("http", "https"):
        environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username or "")
        environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
        return _at(parts, "")
    if parts.scheme.partition("+")[0] in ("postgresql", "postgres"):
        environ["PGPASSWORD"] = unquote(parts.password)
        return _at(parts, parts.username or "")
    return uri


def set_aside_all(arguments: Sequence[str]) -> list[str]:
    """Command line ``arguments`` without passwords: of ``tracking.uri=`` and of ``MLFLOW_TRACKING_URI``."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ["MLFLOW_TRACKING_URI"] = set_aside(uri)
    return [_without_password(argument) for argument in arguments]


def _without_password(argument: str) -> str:
    head, is_uri, uri = argument.partition(OVERRIDE)
    if not is_uri or head.strip("+"):
        return argument
    quote = uri[:1] if uri[:1] in "'\"" and uri[-1:] == uri[:1] else ""
    return f"{head}{OVERRIDE}{quote}{set_aside(uri.strip(quote) if quote else uri)}{quote}"


def _at(parts: SplitResult, user: str) -> str:
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))
