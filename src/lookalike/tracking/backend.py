"""Reaching an MLflow store: its URI, a client on it, and an experiment to log to.

Only a ``MlflowClient`` with an explicit URI is used: MLflow's global state (active run, tracking URI) stays
the user's own.
"""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lookalike.errors import TrackingError
from lookalike.tracking import view

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"


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
    def on_server(cls, uri: str) -> Backend:
        """The store at ``uri``; :class:`TrackingError` when nobody answers there."""
        if uri.startswith(("file:", "./", "/")):
            raise TrackingError(
                f"MLflow no longer keeps runs in plain files ({uri}); "
                "use tracking=local or a server's http:// address"
            )
        if uri.startswith(("http://", "https://")):
            _knock(uri)
        return cls(uri)

    def connect(self) -> MlflowClient:
        """A client; the local database is created when it is not there yet. Takes about 1.5 s."""
        with tracking_errors(self.uri), _quick_import():
            # No numbers about this user's runs leave their machine unless they ask for it.
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            from mlflow.tracking import MlflowClient

            logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                if not (self.folder / DATABASE).exists():
                    _create_database(self.folder, MlflowClient)
                with closing(sqlite3.connect(self.folder / DATABASE)) as database:
                    database.execute(
                        "PRAGMA schema_version"
                    )  # MLflow would retry for minutes before it fails
            return MlflowClient(self.uri)

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
        return str(found.experiment_id)


@contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn whatever MLflow and its database raise into a :class:`TrackingError` of cause and cure."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as fault:
        below = ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3")
        if not isinstance(fault, OSError) and not type(fault).__module__.startswith(below):
            raise
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        raise TrackingError(
            f"MLflow at {uri} failed: {reason.rstrip('.')}; results are safe in each run's record.json, "
            "mend the tracking backend or use tracking=none"
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
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def _create_database(folder: Path, make_client: Any) -> None:
    """Publish a complete ``mlflow.db`` in one step.

    MLflow migrates a new database table by table: processes that do so at once break each other's,
    and one that is killed leaves half a database behind. So each makes its own aside; one link wins.
    """
    draft = folder / f".{DATABASE}.{uuid4().hex}"
    try:
        make_client(_sqlite_uri(draft)).search_experiments(max_results=1)
        try:
            os.link(draft, folder / DATABASE)
        except FileExistsError:
            pass  # another process was quicker
        except OSError:  # a file system without hard links
            draft.replace(folder / DATABASE)
    finally:
        draft.unlink(missing_ok=True)


def _knock(uri: str, seconds: float = 5) -> None:
    """Raise unless something answers at ``uri``. MLflow itself would retry for minutes before it says so."""
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=seconds).close()
    except urllib.error.HTTPError:
        return  # it answers, if only to ask who we are
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        if isinstance(reason, ssl.SSLError):
            return  # MLflow has its own settings for certificates
        raise TrackingError(
            f"no MLflow server answers at {uri} ({reason}); "
            "start it, correct tracking.uri, or use tracking=local"
        ) from fault
