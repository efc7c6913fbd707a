"""A published folder: its manifest, its stamps, and whether its files are still what they were."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lookalike.errors import LookalikeError
from lookalike.machine.environment import cores, cpu_model
from lookalike.progress import SILENT, Bar, Progress
from lookalike.store.files import files_below, fsync, read_json, sha256_of, stamp_of, write_json
from lookalike.store.layout import MANIFEST, STAMPS
from lookalike.store.lease import Owner
from lookalike.store.recipe import Recipe, canonical_json

BAR_FROM_BYTES = 100_000_000
"""Less than this is hashed within a second or so, without a bar."""


class DamageError(LookalikeError):
    """An artifact is not what was published; the message says which file and how."""


@dataclass(frozen=True)
class Artifact:
    """One result in the store; its files are read-only by agreement."""

    key: str
    kind: str
    path: Path
    manifest: Mapping[str, Any]
    reused: bool
    """False when this call built it."""
    reason: str
    """Why it was built; empty when it was reused."""

    def file(self, name: str) -> Path:
        """Return the path of one of its files (relative, POSIX); raise ``KeyError`` when it has none such."""
        if name not in self.manifest["files"]:
            raise KeyError(f"{self.kind} {self.key} has no file {name!r}")
        return self.path / name

    @property
    def build_seconds(self) -> float:
        """Seconds that building took, without hashing and publishing."""
        return float(self.manifest["build_seconds"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the builder returned about it."""
        facts: Mapping[str, Any] = self.manifest["facts"]
        return facts

    @property
    def bytes(self) -> int:
        """Size of its data files."""
        return sum(int(file["bytes"]) for file in self.manifest["files"].values())


def seal(
    folder: Path,
    recipe: Recipe,
    facts: Mapping[str, Any],
    *,
    cost: Mapping[str, Any],
    reason: str,
    progress: Progress = SILENT,
) -> None:
    """Hash every file in a finished draft, write manifest and stamps beside them, and sync all to disk.

    ``cost``: ``build_seconds``, and ``memory``: the peaks of a :class:`MemoryMeter`.

    Raises ``TypeError`` or ``ValueError`` when the facts are not JSON, ``ValueError`` when the builder
    left a link or took a name that the store needs.
    """
    paths = list(files_below(folder))
    names = [path.relative_to(folder).as_posix() for path in paths]
    for name, path in zip(names, paths, strict=True):
        if name in (MANIFEST, STAMPS) or path.is_symlink():
            raise ValueError(
                f"the builder of {recipe.kind} may not leave {name!r}: a link, or the store's own"
            )
    files = {}
    with hashing_bar(progress, f"{recipe.kind}: hashing", sum(path.stat().st_size for path in paths)) as bar:
        for name, path in zip(names, paths, strict=True):
            fsync(path)
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path, bar)}
    owner = Owner.here()
    manifest = {
        "key": recipe.key,
        "kind": recipe.kind,
        "version": recipe.version,
        "parameters": recipe.parameters,
        "parents": recipe.parents,
        "files": files,
        "facts": json.loads(canonical_json(dict(facts))),
        "reason": reason,
        "built_at": datetime.now(UTC).isoformat(),
        **cost,
        "machine": {"hostname": owner.host, "cpu": cpu_model(), "cores": cores(), "job": owner.job},
    }
    write_json(folder / MANIFEST, {**manifest, "seal": _seal_of(manifest)})
    stamp(folder, names)
    for inner in sorted({path.parent for path in paths} | {folder}):
        fsync(inner)


def stamp(folder: Path, names: list[str]) -> None:
    """Write down size, mtime and inode of files that were just hashed."""
    write_json(folder / STAMPS, {name: stamp_of(folder / name) for name in names})


def read_artifact(folder: Path) -> Artifact:
    """Return the artifact in a folder, its manifest checked and its files not.

    Raises ``FileNotFoundError`` when there is no such folder, ``DamageError`` when the manifest is not
    what was written.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        sealed = manifest.pop("seal")
        intact = sealed == _seal_of(manifest) and manifest["key"] == folder.name
    except FileNotFoundError:
        folder.stat()
        raise DamageError(f"{MANIFEST} was missing") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        intact = False
    if not intact:
        raise DamageError(f"{MANIFEST} was damaged")
    return Artifact(manifest["key"], manifest["kind"], folder, manifest, reused=True, reason="")


def check(artifact: Artifact, progress: Progress = SILENT) -> None:
    """Raise ``DamageError`` when a file is not what was published; otherwise count this as a use.

    A file whose size, mtime and inode are those of its stamp is believed unread; the others are hashed,
    and stamped anew if they are sound.
    """
    stamps = _read_stamps(artifact.path)
    doubtful = [name for name in artifact.manifest["files"] if _stamp_now(artifact, name) != stamps.get(name)]
    if doubtful:
        rehash(artifact, doubtful, progress)
    with suppress(OSError):  # a store that may only be read serves all the same
        os.utime(artifact.path / STAMPS)


def rehash(artifact: Artifact, names: list[str], progress: Progress = SILENT) -> None:
    """Compare files with the hashes in the manifest; raise ``DamageError`` for the first that differs."""
    files = artifact.manifest["files"]
    for name in names:
        if _stamp_now(artifact, name)[0] != files[name]["bytes"]:
            raise DamageError(f"{name} was damaged")
    with hashing_bar(
        progress, f"{artifact.kind}: checking", sum(files[name]["bytes"] for name in names)
    ) as bar:
        for name in names:
            with _damage_if_unreadable(name):
                if sha256_of(artifact.path / name, bar) != files[name]["sha256"]:
                    raise DamageError(f"{name} was damaged")
    with suppress(OSError):
        stamp(artifact.path, list(files))


@contextmanager
def hashing_bar(progress: Progress, description: str, total: int) -> Iterator[Bar]:
    """Yield a bar over bytes, shown only where there are so many that it can be seen."""
    if total < BAR_FROM_BYTES:
        yield Bar()
        return
    with progress.bar(description, total, "bytes") as bar:
        yield bar


def _seal_of(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(manifest).encode("ascii")).hexdigest()


def _read_stamps(folder: Path) -> Mapping[str, Any]:
    """Stamps only save time: without readable ones everything is hashed."""
    try:
        stamps = read_json(folder / STAMPS)
    except (FileNotFoundError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _stamp_now(artifact: Artifact, name: str) -> list[int]:
    try:
        return stamp_of(artifact.path / name)
    except (FileNotFoundError, NotADirectoryError):
        raise DamageError(f"{name} was missing") from None


@contextmanager
def _damage_if_unreadable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EIO:  # the disk itself
            raise DamageError(f"{name} was damaged") from error
        raise
