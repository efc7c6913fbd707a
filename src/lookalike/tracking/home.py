"""The folder of the local store: its database is made once, checked, and corrected when the folder has moved.

MLflow keeps the place of every run's artifacts as an absolute address. In a home that was copied or moved
these lead to the old place: artifacts of the copy went to the original's folder. So a process that opens a
home first makes them those of the folder that the database lies in. A copy has a database of its own, so that
the original is not touched. Nothing here imports MLflow.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lookalike.errors import TrackingError
from lookalike.store.files import atomic_write, publish_new, remove_stale_drafts
from lookalike.tracking import view

T = TypeVar("T")

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
WAIT_SECONDS = 60.0
"""For others that write to the database."""
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps addresses of artifacts."""
DAMAGE = ("malformed", "not a database")
"""What SQLite says of a file that is not a sound database."""
LOCKED = "database is locked"
PATIENCE_SECONDS = 180.0
"""How long one process waits for the others that write to the same SQLite file."""
TURN_SECONDS = 60.0
"""How long it waits for another one that makes the same database or logs the same record."""


def create_database(folder: Path, fill: Callable[[Path], None]) -> None:
    """Publish a complete ``mlflow.db`` in one step; ``fill`` makes one at the path that it is called with.

    MLflow migrates a new database table by table: processes that do so at once break each other's,
    and one that is killed leaves half a database behind. So it is made aside and linked. Of many that come
    at once one makes it and the others wait; where there are no locks each makes its own, and one link wins.
    What a killed process left of its own is removed after an hour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / DATABASE
    remove_stale_drafts(database)
    with one_at_a_time(folder):
        if database.is_file() and not database.stat().st_size:
            database.unlink()  # what a full disk or `touch` left: there is nothing in it
        if database.exists():
            return
        # FileExistsError: another process was quicker.
        with suppress(FileExistsError), atomic_write(database, publish_new) as draft:
            try:
                _try_to_write(draft)
                fill(draft)
            finally:
                for journal in folder.glob(f"{draft.name}-*"):
                    journal.unlink(missing_ok=True)


def open_home(folder: Path, *, to_write: bool) -> None:
    """Check the database in ``folder`` and make its addresses those of this folder.

    Raises :class:`TrackingError` when it is damaged, or cannot be written and ``to_write`` asks for it:
    MLflow would try for minutes before it says so. A home that may only be read keeps its addresses.
    """
    database = folder / DATABASE
    if not database.is_file():
        raise TrackingError(
            f"{database} is not a file; results are safe in each run's record.json: move it away, and "
            "`lookalike sync` shows them in a fresh one"
        )
    try:
        _relocate(folder)
        if to_write:
            _try_to_write(database)
    except sqlite3.OperationalError as fault:
        if to_write:
            raise
        if "readonly" not in str(fault):
            raise TrackingError(f"{database} cannot be read ({fault}); make it readable") from fault
    except sqlite3.DatabaseError as fault:
        raise TrackingError(damaged(database, str(fault))) from fault


def damaged(database: Path, reason: str) -> str:
    """Return the message for a database that SQLite cannot read."""
    return (
        f"{database} is damaged ({reason}); keep it under another name (mv {database.name} "
        f"{database.name}.damaged, in its folder), and `lookalike sync` fills a fresh one from the records"
    )


def is_inside(folder: Path, address: str) -> bool:
    """Return whether artifacts at ``address`` lie in the home ``folder``, or not on this machine at all."""
    path = _local_path(address)
    if path is None:
        return True
    return any(_is_same(above, folder) for above in (path, *path.parents))


@contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(
            f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None
        )
    ) as connection:
        yield connection


def _try_to_write(database: Path) -> None:
    """Write to ``database`` (made when it is not there) without changing it.

    ``sqlite3.OperationalError`` when there is no room for its journal, or it may not be written.
    """
    database.touch()
    with _connected(database) as connection:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {int(version) + 1}")
        connection.execute(f"PRAGMA user_version = {int(version)}")
        connection.execute("COMMIT")


def _relocate(folder: Path) -> None:
    with _connected(folder / DATABASE) as connection:
        if not _moved_from(connection, folder):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for old, new in _moved_from(connection, folder):
                for table, column in LOCATIONS:
                    with suppress(sqlite3.OperationalError):  # a table that this version of MLflow has not
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                            (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                        )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _moved_from(connection: sqlite3.Connection, folder: Path) -> list[tuple[str, str]]:
    """(old, new) beginnings of addresses that lead to where the home was."""
    ours = "SELECT experiment_id FROM experiment_tags WHERE key = ?"
    rows = connection.execute(
        f"SELECT artifact_location FROM experiments WHERE experiment_id IN ({ours}) UNION "
        "SELECT replace(artifact_uri, '/' || run_uuid || '/artifacts', '') FROM runs "
        f"WHERE experiment_id IN ({ours})",
        (view.TAG + view.KEY,) * 2,
    ).fetchall()
    found: dict[str, str] = {}
    for [address] in rows:
        path = _local_path(address or "")
        if path is not None and path.name == ARTIFACTS and not _is_same(path.parent, folder):
            old = address.removesuffix(f"/{ARTIFACTS}")
            found[old] = folder.as_uri() if address.startswith("file:") else str(folder)
            found[str(path.parent)] = str(folder)
    unused = connection.execute(
        "SELECT experiment_id, artifact_location FROM experiments "
        "WHERE experiment_id NOT IN (SELECT experiment_id FROM runs)"
    ).fetchall()
    for number, address in unused:  # MLflow puts its first experiment into the working directory
        if not is_inside(folder, address or ""):
            found.setdefault(address, (folder / ARTIFACTS / str(number)).as_uri())
    return list(found.items())


def _local_path(address: str) -> Path | None:
    """The path behind a ``file:`` address or a plain path; None for any other."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(address) if not parts.scheme and address else None


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are the same folder, by whatever links or mounts they lead there."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


def patiently(act: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Return what ``act`` returns, tried again as long as others keep the SQLite file locked.

    SQLite lets one process write while the others try again; MLflow gives up after 20 s of bad luck, which
    one of 32 that log at once may have. ``act`` must be one that can be done twice.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except TrackingError as error:
            if LOCKED not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.1, 1.0))  # not all at the same moment again


@contextmanager
def one_at_a_time(folder: Path, seconds: float = TURN_SECONDS) -> Iterator[None]:
    """Hold off other processes of this machine that do what this one is doing with ``folder``.

    It saves work and is nothing to rely on: one that is suspended keeps the others no longer than
    ``seconds``, and where the file system has no locks none waits.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # the folder is made when the record is saved
        yield
        return
    try:
        deadline = time.monotonic() + seconds
        while not _locked(descriptor) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether no other process holds it, or there are no locks here and nothing to wait for."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
