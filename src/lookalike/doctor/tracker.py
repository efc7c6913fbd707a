"""Where runs are tracked: which kind of store, and whether it takes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from lookalike.doctor.finding import Finding, note, ok, problem
from lookalike.errors import TrackingError
from lookalike.machine.credentials import conceal
from lookalike.schemas import Paths, Tracking
from lookalike.tracking.backend import Backend
from lookalike.tracking.home import DATABASE

TOPIC = "tracking"


def examine(config: Tracking, root: Path, mlruns: str = Paths.mlruns) -> Iterator[Finding]:
    """Knock at the server, or read the local database; nothing is created."""
    if config.kind == "none":
        yield note(TOPIC, "none: records and reports in the output folders are all there is")
        return
    if config.kind == "server":
        yield _server(config)
        return
    yield _local(root / mlruns / DATABASE)
    if found := Backend.in_folder(root / mlruns).network_file_system:
        yield problem(
            TOPIC,
            f"SQLite on a network file system ({found.type}): several machines cannot write to it, so the "
            "jobs of a sweep are logged by the one process that gathers them",
            "use tracking=server to see points as they come",
        )


def _server(config: Tracking) -> Finding:
    if not config.uri:
        return problem(TOPIC, "tracking=server without an address", "set tracking.uri=http://HOST:PORT")
    try:
        backend = Backend.on_server(config.uri)
    except TrackingError as error:
        text, _, cure = str(error).partition("; ")
        return problem(TOPIC, text, cure)
    answers = "answers" if backend.uri.startswith("http") else "is a database that MLflow opens itself"
    return ok(TOPIC, f"the server at {conceal(backend.uri)} {answers}; experiment {config.experiment}")


def _local(database: Path) -> Finding:
    if not database.exists():
        return ok(TOPIC, f"local: SQLite in {database}, which the first run makes")
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            [runs] = connection.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error as error:
        return problem(
            TOPIC,
            f"{database} cannot be read ({error})",
            "move it aside and rebuild it from the records: lookalike sync",
        )
    return ok(TOPIC, f"local: SQLite in {database}, {runs:,} runs")
