"""The disk: its kind, its room, and whether it does what the store's leases and publishing rely on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from lookalike.doctor.finding import Finding, note, ok, problem
from lookalike.machine.filesystems import FileSystem, file_system_of
from lookalike.store.files import readable_bytes

TOPIC = "store"
LOW_BYTES = 5 << 30
CLOCK_SECONDS = 5.0
"""A file server's clock may be this much off: leases go by that clock alone, people by theirs."""


def examine_disk(root: Path, system: FileSystem | None = None) -> Iterator[Finding]:
    """Yield what the disk of ``root`` is, and what it does in a folder that is removed again."""
    system = system or file_system_of(root)
    there = next(place for place in (root, *root.parents) if place.exists())
    kind = f"{system.type}{' (network)' if system.is_network else ''}" if system else "unknown file system"
    free = shutil.disk_usage(there).free
    where = root if there == root else f"{root} (not made yet)"
    text = f"{where}: {kind}, {readable_bytes(free)} free"
    if free < LOW_BYTES:
        yield note(
            TOPIC, text, "`lookalike store prune` shows what can go; paths.root may be on another disk"
        )
    else:
        yield ok(TOPIC, text)
    try:
        with tempfile.TemporaryDirectory(prefix=".lookalike-doctor-", dir=there) as folder:
            yield from _tried(Path(folder))
    except OSError as error:
        yield problem(
            TOPIC,
            f"{there} cannot be written ({error.strerror or error})",
            "set LOOKALIKE_HOME or paths.root to a folder that you may write",
        )


def _tried(folder: Path) -> Iterator[Finding]:
    good = []
    for name, trial, cure in TRIALS:
        try:
            fault = trial(folder)
        except (OSError, sqlite3.Error) as error:
            fault = str(error)
        if fault is None:
            good.append(name)
        elif cure is None:
            yield note(TOPIC, f"{name}: {fault}", "it costs work done twice, never a result")
        else:
            yield problem(TOPIC, f"{name}: {fault}", cure)
    if good:
        yield ok(TOPIC, f"tried and good: {', '.join(good)}")


def _creates_exclusively(folder: Path) -> str | None:
    """Of two that create a lease one must fail."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    os.close(os.open(folder / "lease", flags))
    try:
        os.close(os.open(folder / "lease", flags))
    except FileExistsError:
        return None
    return "a file that is there can be created a second time"


def _renames_folders(folder: Path) -> str | None:
    """Publishing is one rename of a full folder; onto another full one it must fail."""
    for name in ("draft", "other"):
        (folder / name).mkdir()
        (folder / name / "data").write_bytes(b"x")
    (folder / "draft").rename(folder / "published")
    try:
        (folder / "other").rename(folder / "published")
    except OSError:
        return None if (folder / "published" / "data").exists() else "a renamed folder lost its file"
    return "a folder replaces another one that is full"


def _replaces_files(folder: Path) -> str | None:
    """A reader sees the old record or the new one; a reader that has the old one open goes on reading it."""
    (folder / "record").write_bytes(b"old")
    (folder / "new").write_bytes(b"new")
    with (folder / "record").open("rb") as reader:
        (folder / "new").replace(folder / "record")
        if reader.read() != b"old":
            return "an open file changes when another one takes its name"
    return None if (folder / "record").read_bytes() == b"new" else "the old file is still read"


def _links(folder: Path) -> str | None:
    (folder / "original").write_bytes(b"x")
    os.link(folder / "original", folder / "link")
    return None if (folder / "link").samefile(folder / "original") else "a hard link is another file"


def _beats(folder: Path) -> str | None:
    """A heartbeat touches an open file, also after it was renamed, and others see it by its name."""
    path, moved = folder / "beat", folder / "beat.moved"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.utime(descriptor, (1, 1))
        seen = path.stat().st_mtime == 1
        path.rename(moved)
        os.utime(descriptor)
        if not os.path.samestat(os.fstat(descriptor), moved.stat()):
            return "an open file is no longer the same after it was renamed"
        return (
            None if seen and moved.stat().st_mtime > 1 else "touching an open file does not show by its name"
        )
    finally:
        os.close(descriptor)


def _keeps_time(folder: Path) -> str | None:
    before = time.time()
    (folder / "clock").touch()
    off = (folder / "clock").stat().st_mtime - before
    return None if abs(off) < CLOCK_SECONDS else f"the file server's clock is {off:+.0f} s off this machine's"


def _tells_times_apart(folder: Path) -> str | None:
    os.utime(path := _made(folder / "stamp"), ns=(10**18 + 1_000_000, 10**18 + 1_000_000))
    return None if path.stat().st_mtime_ns % 10**9 else "times of change are whole seconds"


def _locks(folder: Path) -> str | None:
    """SQLite's locks keep a second writer out."""
    path = folder / "lock.db"
    with closing(sqlite3.connect(path)) as first, closing(sqlite3.connect(path, timeout=0)) as second:
        first.execute("BEGIN EXCLUSIVE")
        try:
            second.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return None
    return "SQLite lets two write at once"


def _made(path: Path) -> Path:
    path.touch()
    return path


_ELSEWHERE = "put paths.root (LOOKALIKE_HOME) on another disk: the store cannot be shared safely here"
TRIALS: tuple[tuple[str, Callable[[Path], str | None], str | None], ...] = (
    ("exclusive create", _creates_exclusively, _ELSEWHERE),
    ("rename of folders", _renames_folders, _ELSEWHERE),
    ("rename over files", _replaces_files, _ELSEWHERE),
    ("hard links", _links, None),
    ("heartbeats", _beats, None),
    ("clock", _keeps_time, None),
    ("times below a second", _tells_times_apart, None),
    ("SQLite locks", _locks, "use tracking=server, or put paths.root on a local disk"),
)
"""What is tried, and the cure; None where going without only costs work."""
