"""Reaching an MLflow store: its URI, a client on it, and an experiment to log to.

Only a ``MlflowClient`` with an explicit URI is used: MLflow's global state (active run, tracking URI) stays
the user's own.
"""

from __future__ import annotations

import gc
import logging
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lookalike.errors import TrackingError
from lookalike.machine.credentials import conceal, conceal_all, set_aside, whole_address
from lookalike.machine.filesystems import FileSystem, file_system_of
from lookalike.tracking import view
from lookalike.tracking.home import (
    ARTIFACTS,
    DAMAGE,
    DATABASE,
    create_database,
    damaged,
    is_inside,
    open_home,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
BUSY_SECONDS = 60.0
"""A server may take so long to answer when many processes log at once."""
CLIENT_SETTINGS = {
    # No numbers about this user's runs leave their machine unless they ask for it.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that is away costs half a minute, not MLflow's four: the record is safe, `sync` shows it later.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    # Standard output holds results only, a program may read it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Settings of MLflow's client, unless the user set others."""
SERVERS = ("http", "https", "databricks", "databricks-uc", "uc")
DATABASES = ("postgresql", "mysql", "mssql", "sqlite")
"""Schemes of the stores that MLflow knows by itself."""
DRIVERS = {
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
    "pymysql": "PyMySQL",
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "pg8000": "pg8000",
    "pymssql": "pymssql",
    "pyodbc": "pyodbc",
}
"""Module of a database's driver -> the package that has it."""


@dataclass(frozen=True)
class Backend:
    """An MLflow store: a folder with a SQLite database in it, or a server."""

    uri: str
    folder: Path | None = None
    """The home of a local store; None for a server, which places artifacts itself."""

    @classmethod
    def in_folder(cls, folder: Path) -> Backend:
        """The local store: ``folder/mlflow.db``, artifacts beside it."""
        folder = folder.absolute()
        return cls(_sqlite_uri(folder / DATABASE), folder)

    @classmethod
    def on_server(cls, uri: str, must_answer: bool = True) -> Backend:
        """The store at ``uri``; :class:`TrackingError` when no server answers there and ``must_answer``.

        Secrets in ``uri`` are kept in the environment. It is an error before any work when MLflow knows no
        such store, when its database has no driver here, or when a secret of ``uri`` was set aside by
        another process and is not in the environment.
        """
        uri = set_aside(uri, os.environ)
        if uri.startswith(("file:", "./", "/")):
            raise TrackingError(
                f"MLflow no longer keeps runs in plain files ({uri}); "
                "use tracking=local or a server's http:// address"
            )
        backend = cls(uri)
        _require_store(uri, backend.address)
        if must_answer:
            backend.ping()
        return backend

    @property
    def address(self) -> str:
        """The address with its secrets, for clients alone; TrackingError when they are not known here."""
        whole = whole_address(self.uri)
        if whole is None:
            raise TrackingError(
                f"the password of {self.uri} is not known here; name the whole address again, in "
                "MLFLOW_TRACKING_URI or as tracking.uri=…"
            )
        return whole

    def ping(self, seconds: float = 5) -> None:
        """Raise :class:`TrackingError` unless the server, if it is one, answers within ``seconds``."""
        if self.uri.startswith(("http://", "https://")):
            _ping(self.address, seconds)

    @property
    def network_file_system(self) -> FileSystem | None:
        """The network file system that the local store lies on, where only one process may write to it."""
        found = None if self.folder is None else file_system_of(self.folder)
        return found if found is not None and found.is_network else None

    def connect(self, *, to_write: bool = True) -> MlflowClient:
        """A client; the local database is created when it is not there yet. Takes about 1.5 s.

        ``to_write``: raise :class:`TrackingError` at once where nothing can be written to the local store.
        """
        with tracking_errors(self.uri), _quick_import():
            self.ping(BUSY_SECONDS)
            for name, value in CLIENT_SETTINGS.items():
                os.environ.setdefault(name, value)
            from mlflow.tracking import MlflowClient

            # What it logs of the database it raises as well, and `tracking_errors` says it in one sentence.
            logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            if self.folder is not None:
                create_database(
                    self.folder,
                    lambda path: MlflowClient(_sqlite_uri(path)).search_experiments(max_results=1),
                )
                open_home(self.folder, to_write=to_write)
            return MlflowClient(self.address)

    def experiment(self, client: MlflowClient, name: str) -> str:
        """The id of the experiment called ``name``, created by whichever process asks first."""
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            found = client.get_experiment_by_name(name)
            if found is None:
                location = (self.folder / ARTIFACTS).as_uri() if self.folder is not None else None
                tags = view.EXPERIMENT_TAGS | dict([view.shared_view()])
                try:
                    return str(client.create_experiment(name, artifact_location=location, tags=tags))
                except MlflowException as fault:
                    if fault.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the MLflow experiment {name} was deleted; "
                "restore it there or set tracking.experiment to another name"
            )
        self.check_inside(found.artifact_location)
        return str(found.experiment_id)

    def check_inside(self, address: str) -> None:
        """Raise :class:`TrackingError` when artifacts at ``address`` would leave a local store's home."""
        if self.folder is not None and not is_inside(self.folder, address):
            raise TrackingError(
                f"artifacts would be written to {address}, outside of {self.folder}; "
                "set tracking.experiment to another name"
            )


@contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn whatever MLflow and its database raise into a :class:`TrackingError` of cause and cure."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as fault:
        below = ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3", *DRIVERS)
        if not isinstance(fault, OSError | ImportError) and not type(fault).__module__.startswith(below):
            raise
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        if uri.startswith(SQLITE) and any(word in str(fault) for word in DAMAGE):
            raise TrackingError(damaged(Path(unquote(uri.removeprefix(SQLITE))), reason)) from fault
        there = f" tracking=server tracking.uri={conceal(uri)}" if uri.startswith("http") else ""
        raise TrackingError(
            f"MLflow at {conceal(uri)} failed: {conceal_all(reason).rstrip('.')}; results are safe in each "
            f"run's record.json, mend the tracking backend and show them there with `lookalike sync{there}`"
        ) from fault


@contextmanager
def _quick_import() -> Iterator[None]:
    """Importing makes a million objects that all stay: collecting garbage meanwhile costs a second.

    They are taken out of the collector's sight, or the first collection afterwards would walk through all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _sqlite_uri(path: Path) -> str:
    return SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def _require_store(uri: str, address: str) -> None:
    """Raise TrackingError when MLflow cannot open a store at ``address``, shown as ``uri``, from here."""
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme in SERVERS:
        return
    if scheme in DATABASES:
        _require_driver(uri, address)
    elif scheme not in {each.name for each in entry_points(group="mlflow.tracking_store")}:
        raise TrackingError(
            f"MLflow keeps no runs at {conceal(uri)}; name a server, http://HOST:PORT, or a database of "
            f"{', '.join(DATABASES)}"
        )


def _require_driver(uri: str, address: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(address).get_dialect().import_dbapi()
    except ImportError as fault:
        module = str(fault.name or fault).partition(".")[0]
        package = DRIVERS.get(module, module)
        raise TrackingError(
            f"{conceal(uri)} needs the driver {module}, which is not installed; pip install '{package}'"
        ) from None
    except (SQLAlchemyError, ValueError) as fault:
        reason = conceal_all(str(fault).strip().partition("\n")[0]).rstrip(".")
        raise TrackingError(
            f"{conceal(uri)} is not an address of a database ({reason}); write it as "
            "mysql+pymysql://USER:PASSWORD@HOST/NAME"
        ) from None


def _ping(uri: str, seconds: float) -> None:
    """Raise unless something answers at ``uri``. MLflow itself would retry for minutes before it says so."""
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=seconds).close()
    except urllib.error.HTTPError:
        return  # it answers, if only to ask for a password
    except (OSError, ValueError, HTTPException) as fault:
        reason = getattr(fault, "reason", fault)
        if isinstance(reason, ssl.SSLError):
            return  # MLflow has its own settings for certificates
        raise TrackingError(
            f"no MLflow server answers at {conceal(uri)} ({conceal_all(str(reason))}); "
            "start it, correct tracking.uri, or use tracking=local"
        ) from fault
