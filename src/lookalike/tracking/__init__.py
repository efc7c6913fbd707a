"""Where results are looked at and compared; records stay the truth, a tracker shows them.

A run writes its ``record.json`` first and hands it to a :class:`Tracker` then, so a tracker that
cannot be reached costs a view, never a result.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from lookalike import schemas
from lookalike.errors import TrackingError
from lookalike.machine.credentials import conceal
from lookalike.runs.record import Record

KINDS = ("local", "server", "none")


class Tracker(Protocol):
    """Shows records: one entry an operating point, and one over the points of a sweep."""

    def start_sweep(
        self, name: str, description: str, parent: str | None = None, started: str | None = None
    ) -> str | None:
        """Open the entry that a sweep's points are gathered under; returns its id for :meth:`log`.

        Called once, before points run in other processes: it creates what they would race for. ``parent``
        is the entry of an earlier try, opened again; a new one begins at ``started`` (ISO 8601), else now.
        """

    def log(self, record: Record, folder: Path, parent: str | None = None) -> None:
        """Show ``record``, which lies in ``folder``; its points get their ``mlflow_run_id`` and it is saved.

        A record that was logged before is the same entries again, not new ones. Raises
        :class:`TrackingError` when the backend cannot be reached or refuses.
        """

    def remove(self, record: Record) -> None:
        """Delete the entries of ``record``, which a later try replaces.

        Raises :class:`TrackingError` as :meth:`log` does; removing what was never shown is not an error.
        """

    def page(self, parent: str | None = None) -> str | None:
        """Where the points (of one sweep) are seen, behind the address of the tracker's UI; None: nowhere."""

    def finish_sweep(
        self, parent: str | None, folder: Path, records: Sequence[Record], status: str = "finished"
    ) -> None:
        """Close the sweep's entry with the reports that lie in ``folder``.

        ``status`` is a record's: finished, failed or interrupted.
        """


class NoTracker:
    """``tracking=none``: records and reports in the output folders are all there is."""

    def start_sweep(
        self, name: str, description: str, parent: str | None = None, started: str | None = None
    ) -> str | None:
        """Nothing to open."""
        return None

    def log(self, record: Record, folder: Path, parent: str | None = None) -> None:
        """Nothing to show."""

    def remove(self, record: Record) -> None:
        """Nothing was shown."""

    def page(self, parent: str | None = None) -> str | None:
        """Nowhere to look."""
        return None

    def finish_sweep(
        self, parent: str | None, folder: Path, records: Sequence[Record], status: str = "finished"
    ) -> None:
        """Nothing to close."""


def open_tracker(
    config: schemas.Tracking, root: Path, mlruns: str = "mlruns", store: str = schemas.Paths.store
) -> Tracker:
    """The tracker that ``config`` asks for; ``root / mlruns`` is the home of the local one.

    ``root / store`` is where indexes lie: nothing else is sent to a server as one.

    Quick: MLflow is imported when something is logged. Raises :class:`TrackingError` at once when
    the kind is unknown or a server does not answer, before any work is done that it would have shown.

    For a job of a sweep (``config.parent`` is set) two things differ. A server that does not answer is
    found out when the job logs: one that is started again meanwhile costs nothing. And where
    :func:`one_writer_notice` has something to say the job does not log at all, because the process that
    gathers the sweep logs every record.
    """
    if config.kind == "none":
        return NoTracker()
    if config.kind not in KINDS:
        raise TrackingError(f"tracking.kind={config.kind} is unknown; choose one of {', '.join(KINDS)}")
    from lookalike.tracking.backend import Backend
    from lookalike.tracking.completing import Upload
    from lookalike.tracking.mlflow_tracker import MlflowTracker

    if config.kind == "server":
        if not config.uri:
            raise TrackingError(
                "tracking=server needs tracking.uri, such as http://127.0.0.1:5000; or use tracking=local"
            )
        backend = Backend.on_server(config.uri, must_answer=config.parent is None)
        return MlflowTracker(backend, config, Upload(root, root / store, config.upload_limit_mb))
    backend = Backend.in_folder(root / mlruns)
    if config.parent is not None and backend.network_file_system:
        return NoTracker()
    return MlflowTracker(backend, config)


def one_writer_notice(config: schemas.Tracking, root: Path, mlruns: str = "mlruns") -> str | None:
    """Why the jobs of a sweep do not log themselves; None when they may, which is usual."""
    from lookalike.tracking.backend import Backend

    found = Backend.in_folder(root / mlruns).network_file_system if config.kind == "local" else None
    if found is None:
        return None
    return (
        f"{root / mlruns} lies on a network file system ({found.type}), where SQLite cannot be written by "
        "several machines: the sweep's jobs do not log themselves, their records are logged when they are "
        "gathered; use tracking=server to watch them meanwhile"
    )


def environment_notices(config: schemas.Tracking, environ: Mapping[str, str] | None = None) -> list[str]:
    """MLflow's variables in ``environ``, by default the process's, that do not decide where runs go."""
    environ = os.environ if environ is None else environ
    notices = []
    uri = environ.get("MLFLOW_TRACKING_URI")
    if uri and config.kind != "none" and uri != config.uri:
        cure = "tracking=server" if config.kind == "local" else "leave tracking.uri out"
        notices.append(f"MLFLOW_TRACKING_URI={conceal(uri)} is not used; to log there: {cure}")
    name = environ.get("MLFLOW_EXPERIMENT_NAME")
    if name and config.kind != "none" and name != config.experiment:
        setting = shlex.quote(f"tracking.experiment={name}")
        notices.append(f"MLFLOW_EXPERIMENT_NAME={name} is not used; to log there: {setting}")
    for other in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI"):
        if environ.get(other) and config.kind != "none":
            notices.append(f"{other} is not used; tracking.experiment says where runs go")
    return notices


def local_uri(root: Path, mlruns: str = "mlruns") -> str:
    """The tracking URI of the local backend under ``root``: what ``lookalike mlflow`` serves."""
    from lookalike.tracking.backend import Backend

    return Backend.in_folder(root / mlruns).uri


def local_page(root: Path, mlruns: str = "mlruns", experiment: str = schemas.Tracking.experiment) -> str:
    """What to put behind the server's address to see the operating points of ``experiment``.

    Asks the database without importing MLflow; '' (the server's front page) when it does not know.
    """
    from lookalike.tracking import view
    from lookalike.tracking.home import DATABASE

    found = None
    with suppress(sqlite3.Error), closing(sqlite3.connect(root / mlruns / DATABASE)) as database:
        query = "SELECT experiment_id FROM experiments WHERE name = ?"
        found = database.execute(query, (experiment,)).fetchone()
    return f"/{view.page(str(found[0]), view.KEY)}" if found else ""
