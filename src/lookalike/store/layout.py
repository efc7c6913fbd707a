"""The store's folder: where everything lies in it, its format, and what users are told when it cannot serve.

format.json                      the store's format
artifacts/KIND/KEY/              published: data, manifest.json, stamps.json (its mtime: last use)
leases/KEY                       the process that builds KEY
scratch/KEY.TOKEN.draft/         an artifact being built by one process
scratch/KEY.TOKEN.workbench/     checkpoints: what a build of KEY can be resumed from
scratch/KEY.TOKEN.trash/         being deleted
uses/TOKEN, TOKEN.keys           a living process, and the keys that it uses
damaged/KEY.TOKEN/               moved out of artifacts/
damaged/KEY.txt                  what was wrong with it, until KEY is built again
hashes/HASH.json                 remembered hash of one file outside the store
thumbnails/XX/HASH.jpg           a cache of small pictures (`lookalike ui`); bounded, made when first shown
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import StoreError
from lookalike.store.files import read_json, readable_bytes, says_disk_full, token, write_json

FORMAT = 1
FEW_FREE_INODES = 1000
"""Fewer are reported with a full disk: they may be what ran out."""

MANIFEST = "manifest.json"
STAMPS = "stamps.json"

DRAFT = ".draft"
CHECKPOINTS = ".workbench"
TRASH = ".trash"


class Layout:
    """Owns every name in the store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.format = root / "format.json"
        self.kinds = root / "artifacts"
        self.leases = root / "leases"
        self.scratch = root / "scratch"
        self.uses = root / "uses"
        self.damaged = root / "damaged"
        self.hashes = root / "hashes"
        self.thumbnails = root / "thumbnails"
        self.folders = (self.kinds, self.leases, self.scratch, self.damaged, self.hashes)

    def artifact(self, kind: str, key: str) -> Path:
        """Return the folder of a published artifact."""
        return self.kinds / kind / key

    def lease(self, key: str) -> Path:
        """Return the file that names the process which builds ``key``."""
        return self.leases / key

    def new_scratch(self, key: str, suffix: str) -> Path:
        """Return a new name in scratch; ``suffix`` is DRAFT, CHECKPOINTS or TRASH."""
        return self.scratch / f"{key}.{token()}{suffix}"

    def scratch_of(self, key: str, suffix: str) -> list[Path]:
        """Return what lies in scratch for ``key``, the most recently changed first."""
        found = [
            path for path in children(self.scratch) if path.name.startswith(key) and path.suffix == suffix
        ]
        return sorted(found, key=changed_at, reverse=True)

    def new_damaged(self, key: str) -> Path:
        """Return the folder that a damaged artifact is moved to."""
        return self.damaged / f"{key}.{token()}"

    def damage_note(self, key: str) -> Path:
        """Return the file that says what was wrong with ``key``."""
        return self.damaged / f"{key}.txt"

    def remembered_hash(self, path: Path) -> Path:
        """Return the file that remembers the hash of a file outside the store."""
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        return self.hashes / f"{name}.json"


def children(folder: Path) -> Iterator[Path]:
    """Yield the entries of a folder; none when it does not exist."""
    try:
        yield from list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def changed_at(path: Path) -> float:
    """Return the Unix time of the last change; 0 when the file has vanished."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def has_format(layout: Layout) -> bool:
    """Return whether the store exists; raise ``StoreError`` when something else is there."""
    root = layout.root
    with reading(root):
        if not root.exists():
            return False
        if not root.is_dir():
            raise StoreError(f"{root} is a file, not a store; set paths.store to a folder")
        names = {path.name for path in children(root) if not path.name.startswith(".")}
        if not names:
            return False
        if layout.format.name not in names:
            raise StoreError(
                f"{root} is a folder of other things, not a store; set paths.store to a new folder"
            )
        try:
            found = read_json(layout.format)["format"]
        except (ValueError, KeyError, TypeError):
            found = "unknown"
    if found != FORMAT:
        raise StoreError(
            f"{root} was written in store format {found}, this Lookalike reads format {FORMAT}; "
            "set paths.store to a new folder, or use the version of Lookalike that wrote it"
        )
    return True


def create(layout: Layout) -> None:
    """Make what is missing of the store's folders; any number of processes may do so at once."""
    with writing(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
        if not has_format(layout):
            write_json(layout.format, {"format": FORMAT, "written_by": "lookalike"})
        for folder in layout.folders:
            folder.mkdir(exist_ok=True)


@contextmanager
def reading(root: Path) -> Iterator[None]:
    """Turn the system's errors into ``StoreError``."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the store in {root} cannot be read ({error}); set paths.store to a folder that you may read"
        ) from error


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn the system's errors into ``StoreError``, a full disk into its own."""
    try:
        yield
    except OSError as error:
        if says_disk_full(error):
            raise disk_full(root) from error
        raise StoreError(
            f"the store in {root} cannot be written ({error}); set paths.store to a folder that you may write"
        ) from error


def disk_full(root: Path) -> StoreError:
    """Return the error for a disk or quota that is full."""
    free = readable_bytes(shutil.disk_usage(root).free)
    if hasattr(os, "statvfs") and (status := os.statvfs(root)).f_files and status.f_favail < FEW_FREE_INODES:
        free += f" but room for only {status.f_favail} more files"
    return StoreError(
        f"the disk (or quota) of the store in {root} is full, {free} free; free some space "
        "(`lookalike store prune` shows what can go) or set paths.store to another disk, then run again"
    )
