"""Where everything lies below the store's root.

format.json                      the store's format
artifacts/KIND/KEY/              published: data, manifest.json, stamps.json (its mtime: last use)
leases/KEY                       who is building KEY
scratch/KEY.TOKEN.draft/         an artifact being built by one process
scratch/KEY.TOKEN.workbench/     resumable work towards KEY
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
from collections.abc import Iterator
from pathlib import Path

from lookalike.store.files import token

MANIFEST = "manifest.json"
STAMPS = "stamps.json"

DRAFT = ".draft"
WORKBENCH = ".workbench"
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
        """Folder of a published artifact."""
        return self.kinds / kind / key

    def lease(self, key: str) -> Path:
        """File that names the process which builds ``key``."""
        return self.leases / key

    def new_scratch(self, key: str, suffix: str) -> Path:
        """A name that nobody else uses: ``suffix`` is DRAFT, WORKBENCH or TRASH."""
        return self.scratch / f"{key}.{token()}{suffix}"

    def scratch_of(self, key: str, suffix: str) -> list[Path]:
        """What lies in scratch for ``key``, the most recently changed first."""
        found = [
            path for path in children(self.scratch) if path.name.startswith(key) and path.suffix == suffix
        ]
        return sorted(found, key=changed_at, reverse=True)

    def new_damaged(self, key: str) -> Path:
        """Where a damaged artifact is moved."""
        return self.damaged / f"{key}.{token()}"

    def damage_note(self, key: str) -> Path:
        """File with the reason why ``key`` was moved out."""
        return self.damaged / f"{key}.txt"

    def remembered_hash(self, path: Path) -> Path:
        """File that remembers the hash of a file outside the store."""
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        return self.hashes / f"{name}.json"


def children(folder: Path) -> Iterator[Path]:
    """Entries of a folder that may not exist."""
    try:
        yield from list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def changed_at(path: Path) -> float:
    """Unix time of the last change; 0 for what has just vanished."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
