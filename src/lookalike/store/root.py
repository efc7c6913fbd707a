"""The store's own folder: its format, its creation, and what users are told when it cannot serve."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import StoreError
from lookalike.store.files import read_json, readable_bytes, says_disk_full, write_json
from lookalike.store.layout import Layout, children

FORMAT = 1
FEW_FILES = 1000
"""Fewer free inodes than this are told of: they may be what has run out."""


def has_format(layout: Layout) -> bool:
    """Whether the store exists; ``StoreError`` when there is something that is not ours to use."""
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
    """What the user is told when the disk or quota is full."""
    free = readable_bytes(shutil.disk_usage(root).free)
    if hasattr(os, "statvfs") and (status := os.statvfs(root)).f_files and status.f_favail < FEW_FILES:
        free += f" but room for only {status.f_favail} more files"
    return StoreError(
        f"the disk (or quota) of the store in {root} is full, {free} free; free some space "
        "(`lookalike store prune` shows what can go) or set paths.store to another disk, then run again"
    )
