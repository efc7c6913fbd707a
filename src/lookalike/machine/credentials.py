"""Passwords in addresses: used to reach a server, never printed, logged or written down.

``http://user:password@host`` reaches a run by an override, in a config file or by ``MLFLOW_TRACKING_URI``.
Hydra, a sweep's ledger and ``record.json`` all keep what was composed, so the password is taken out before
any of them sees it. Nothing here changes the environment by itself: functions that take a secret out put it
into the mapping that they are given, which the caller makes the environment, where MLflow's client, database
drivers and the jobs of a cluster look for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
KEPT = "LOOKALIKE_ADDRESS_"
"""Prefix of the environment variables that keep a whole address; the rest is a digest of what is shown."""
OF_CLIENTS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
"""Environment variables in which clients look for a secret by themselves."""
LIBPQ = ("", "psycopg2", "psycopg")
"""SQLAlchemy's drivers of PostgreSQL that read ``PGPASSWORD``."""
ENVIRONMENT = "hydra.job.env_set."
"""Hydra's setting of environment variables, which it writes down."""
SHORTEST_SECRET = 4
"""Characters; a shorter one is not searched for in texts, where it would be found in half of the words."""

_SCHEME = r"[a-z][a-z0-9+.-]*"
_USER = r"(?P<user>[^\s:/@'\"?#]*)"
_ADDRESS = re.compile(
    rf"(?P<scheme>{_SCHEME})://"
    rf"(?:{_USER}:(?P<password>(?:(?!{_SCHEME}://)[^\s'\",])*|(?:(?!{_SCHEME}://)[^\s'\"])*)@)?"
    rf"(?P<rest>(?:(?!{_SCHEME}://)[^\s'\"{{}}\[\](),])*)",
    re.IGNORECASE,
)
"""An address somewhere in a text: it ends at a blank, a quote or a bracket."""
_ALONE = re.compile(
    rf"(?P<scheme>{_SCHEME})://(?:(?P<user>[^:/@?#]*):(?P<password>.*)@)?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
"""A text that is one address: its password may hold anything, unescaped."""
_PORT = re.compile(r"\d+(?:[/?#\s]|$)")
_PARAMETER = re.compile(
    r"(?P<name>[?&;](?:[\w.-]*(?:password|passwd|pwd|secret|token|api_?key|credentials?)|pass|auth|odbc_connect)=)"
    r"(?P<value>(?<=odbc_connect=)[^&]*|[^&;]*)",
    re.IGNORECASE,
)
"""A secret among the parameters behind ``?`` (or ``;``, as ODBC and JDBC part them)."""


_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|PWD|SECRET|TOKEN|CREDENTIAL|(?:API|ACCESS)_?KEY", re.IGNORECASE)


def conceal(text: str) -> str:
    """Return ``text`` with ``***`` in place of every password in an address; the user's name stays."""
    if "://" not in text:
        return text
    alone = _alone(text)
    return (
        _shown(alone) if alone is not None and alone["password"] is not None else _ADDRESS.sub(_shown, text)
    )


def conceal_all(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return ``text`` for people and logs: as :func:`conceal`, and without the secrets in ``environ``.

    For words of other programs, which may quote a password without its address. ``environ`` is the process's
    own by default.
    """
    text = conceal(text)
    for secret in _secrets(os.environ if environ is None else environ):
        text = text.replace(secret, HIDDEN)
    return text


def concealed(value: Any) -> Any:
    """Return ``value`` (mappings, lists, plain values) with :func:`conceal` done to every string in it."""
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, Mapping):
        return {key: concealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(concealed(item) for item in value)
    return value


def is_concealed(uri: str) -> bool:
    """Return whether a secret was taken out of ``uri`` by :func:`conceal` or :func:`set_aside`."""
    return f":{HIDDEN}@" in uri or f"={HIDDEN}" in uri


def set_aside(uri: str, environ: MutableMapping[str, str]) -> str:
    """Return ``uri`` without its password, which is put into ``environ``.

    Of an MLflow server's address it goes to ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``,
    of PostgreSQL's to ``PGPASSWORD``, where their clients look for it: they replace what stands there, since
    an address that names a password means it. Of every other address, and of secrets among the parameters
    behind ``?``, ``***`` takes the place, and :func:`whole_address` gives the whole again. An address whose
    password is an interpolation is returned as it is.
    """
    match = _ALONE.fullmatch(uri)
    return uri if match is None else _without_secrets(match, environ)


def set_aside_in(text: str, environ: MutableMapping[str, str]) -> str:
    """Return ``text`` (a value, a line of overrides) with :func:`set_aside` done to every address in it."""
    if "://" not in text:
        return text
    alone = _alone(text)
    if alone is not None:
        return _without_secrets(alone, environ)
    return _ADDRESS.sub(lambda match: _without_secrets(match, environ), text)


def set_aside_all(arguments: Sequence[str], environ: MutableMapping[str, str]) -> list[str]:
    """Return command line ``arguments`` with :func:`set_aside` done to whichever setting has a password."""
    return [_argument_without_secrets(argument, environ) for argument in arguments]


def set_aside_environment(environ: MutableMapping[str, str]) -> None:
    """Take the password out of ``MLFLOW_TRACKING_URI`` in ``environ``, because configs quote it."""
    if uri := environ.get("MLFLOW_TRACKING_URI"):
        environ["MLFLOW_TRACKING_URI"] = set_aside(uri, environ)


def set_aside_variable(name: str, value: str, environ: MutableMapping[str, str]) -> str:
    """Return what Hydra is to read as the ``value`` of the environment variable ``name`` of its jobs.

    A secret, which the variable's name tells, is put into ``environ`` instead, and only its place is left.
    Of any other, passwords in addresses are set aside.
    """
    if not _SECRET_NAME.search(name) or "${" in value:
        return set_aside_in(value, environ)
    environ[name] = value
    return f"${{oc.env:{name}}}"


def whole_address(uri: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the address of which :func:`set_aside` left ``uri``; ``uri`` itself where it lacks nothing.

    None when its secret is not in ``environ``: it was set aside by another process.
    """
    environ = os.environ if environ is None else environ
    return environ.get(_variable(uri)) if is_concealed(uri) else uri


class ConcealingFormatter(logging.Formatter):
    """Log lines and their tracebacks as :func:`conceal_all` leaves them."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry."""
        return conceal_all(super().format(record))


def _alone(text: str) -> re.Match[str] | None:
    """The address that the whole of ``text`` is; None when it holds several, or more than one."""
    return _ALONE.fullmatch(text) if text.count("://") == 1 else None


def _password(match: re.Match[str]) -> str | None:
    """The password in the address; None when there is none, or when what looks like one is a port."""
    password: str | None = match["password"]
    if password is None or (match["scheme"].lower() in ("http", "https") and _PORT.match(password)):
        return None
    return password


def _shown(match: re.Match[str]) -> str:
    """The address with ``***`` for its secrets."""
    user = ""
    if match["password"] is not None:
        user = f"{match['user']}:{match['password'] if _password(match) is None else HIDDEN}@"
    return f"{match['scheme']}://{user}{_PARAMETER.sub(_hide, match['rest'])}"


def _hide(parameter: re.Match[str]) -> str:
    return f"{parameter['name']}{HIDDEN}" if parameter["value"] else parameter[0]


def _without_secrets(match: re.Match[str], environ: MutableMapping[str, str]) -> str:
    address = match[0]
    shown = _shown(match)
    if shown == address or "${" in address:
        return address
    password, scheme, rest = _password(match), match["scheme"], match["rest"]
    base, _, driver = scheme.lower().partition("+")
    if password is None or password == HIDDEN:
        whole = address
    elif base in ("http", "https"):
        environ["MLFLOW_TRACKING_USERNAME"] = unquote(match["user"])
        environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
        whole = f"{scheme}://{rest}"
    elif base in ("postgresql", "postgres") and driver in LIBPQ:
        environ["PGPASSWORD"] = unquote(password)
        whole = f"{scheme}://{match['user']}@{rest}" if match["user"] else f"{scheme}://{rest}"
    else:
        whole = f"{scheme}://{match['user']}:{_escaped(password)}@{rest}"
    shown = conceal(whole)
    if shown != whole:
        environ[_variable(shown)] = whole
    return shown


def _escaped(password: str) -> str:
    """``password`` as the part of an address: what was escaped stays, what should have been is."""
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", quote(password, safe="%!$&()*+,;=-._~"))


def _variable(shown: str) -> str:
    return KEPT + hashlib.sha256(shown.encode()).hexdigest()[:16].upper()


def _secrets(environ: Mapping[str, str]) -> list[str]:
    """What must not be read anywhere, longest first: escaped and not."""
    found = {environ.get(name, "") for name in OF_CLIENTS}
    for name, address in environ.items():
        match = _ALONE.fullmatch(address) if name.startswith(KEPT) else None
        if match is not None:
            found.add(_password(match) or "")
            found |= {parameter["value"] for parameter in _PARAMETER.finditer(match["rest"])}
    found |= {unquote(secret) for secret in found}
    return sorted((secret for secret in found if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)


def _argument_without_secrets(argument: str, environ: MutableMapping[str, str]) -> str:
    """As :func:`set_aside_in`; the value of ``key='…'`` is looked at without its quotes."""
    key, is_setting, value = argument.partition("=")
    if "://" in key or not is_setting:
        return set_aside_in(argument, environ)
    mark = value[:1] if len(value) > 1 and value[:1] in "'\"" and value[-1:] == value[:1] else ""
    text = value[1:-1] if mark else value
    setting = key.lstrip("+")
    if setting.startswith(ENVIRONMENT):
        text = set_aside_variable(setting.removeprefix(ENVIRONMENT), text, environ)
    return f"{key}={mark}{set_aside_in(text, environ)}{mark}"
