"""Find what was built before, build what was not, publish it in one step."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lookalike.errors import StoreError
from lookalike.machine.environment import MemoryMeter
from lookalike.progress import SILENT, Progress
from lookalike.store.artifact import Artifact, DamageError, check, hashing_bar, read_artifact, seal
from lookalike.store.files import fsync, read_json, says_disk_full, sha256_of, stamp_of, write_json
from lookalike.store.layout import (
    CHECKPOINTS,
    DRAFT,
    MANIFEST,
    TRASH,
    Layout,
    changed_at,
    children,
    create,
    disk_full,
    has_format,
    reading,
    writing,
)
from lookalike.store.lease import LEASE_SECONDS, Lease, Owner, Uses
from lookalike.store.recipe import REUSE_IS_OFF, Recipe, explain

RELATIVES = 200
"""Manifests of the same kind, newest first, that are read for the reason of a build."""

Build = Callable[[Path], Mapping[str, Any] | None]


class Store:
    """A folder of artifacts, shared by any number of threads, processes and machines.

    ``reuse``: True, False, or the kinds that may be reused; the others are built again, once per Store,
    and replace what was there. The folder is created at the first write. ``lease_seconds``: a builder on
    another machine that gave no sign of life for this long is believed dead.

    Raises ``StoreError`` when ``root`` is a file, holds something else than a store, or a store of
    another format; later, when it cannot be written or its disk is full.
    """

    def __init__(
        self,
        root: Path,
        reuse: bool | Collection[str] = True,
        progress: Progress = SILENT,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.root = Path(root)
        self.layout = Layout(self.root)
        self.progress = progress
        self.lease_seconds = lease_seconds
        self._reuse = reuse if isinstance(reuse, bool) else frozenset(reuse)
        self._built: set[str] = set()
        self._leases: dict[str, Lease] = {}
        self._used: dict[str, Path] = {}
        self.uses = Uses(self.layout.uses, lease_seconds)
        self._is_created = False
        has_format(self.layout)

    # --- finding and building --------------------------------------------------------------------------

    def find(self, recipe: Recipe) -> Artifact | None:
        """Return what was published for the recipe, whatever ``reuse`` says; None when nothing sound was.

        Files are believed when size, mtime and inode are those of their stamps, else hashed. A damaged
        artifact is moved out of the way and will be built again.
        """
        return self._open(self.layout.artifact(recipe.kind, recipe.key))

    def obtain(
        self, recipe: Recipe, build: Build, reason: Callable[[], str | None] = lambda: None
    ) -> Artifact:
        """Find the artifact, or build and publish it.

        ``build`` gets an empty folder, leaves files there (no links; not ``manifest.json``,
        ``stamps.json``) and returns facts for the manifest (JSON values). While another process builds
        the same key, this one waits and reuses. An interrupted build publishes nothing; only its
        checkpoints stay. Errors of ``build`` pass through, except that a full disk is a ``StoreError``.
        ``reason``: why it has to be built, asked when it has to; None: how its recipe differs from others.
        """
        if found := self._reusable(recipe):
            return found
        while True:
            with self._lease(recipe) as lease:
                if found := self._reusable(recipe):
                    return found
                try:
                    return self._build(recipe, build, lease, reason)
                except Exception:
                    if lease.is_held():
                        raise
            # This process was suspended for so long that another took over and cleared its folders away.

    def checkpoints(self, recipe: Recipe) -> Path:
        """Return a folder for what a build can be resumed from; it survives a killed process.

        To be called inside ``obtain``'s ``build`` only. The folder holds what an earlier attempt at the same
        key left, and goes when the artifact is published. Write files by
        :func:`~lookalike.store.files.atomic_write`: an attempt may end anywhere.
        """
        lease = self._leases.get(recipe.key)
        if lease is None or not lease.is_held():
            raise RuntimeError("checkpoints are used inside the build function, while its key is leased")
        folder = self.layout.new_scratch(recipe.key, CHECKPOINTS)
        with writing(self.root):
            earlier = self.layout.scratch_of(recipe.key, CHECKPOINTS)
            if not earlier:
                folder.mkdir()
                return folder
            # Under a new name, so that a suspended owner that wakes up does not find it.
            return earlier[0].rename(folder)

    def artifacts(self, kind: str | None = None) -> Iterator[Artifact]:
        """Yield all that is published (of one kind), newest first, read lazily and not verified."""
        folders = [
            folder
            for parent in children(self.layout.kinds)
            if kind in (None, parent.name)
            for folder in children(parent)
        ]
        for folder in sorted(folders, key=lambda folder: changed_at(folder / MANIFEST), reverse=True):
            try:
                yield read_artifact(folder)
            except (FileNotFoundError, NotADirectoryError, DamageError):
                continue

    def usable(self, kind: str) -> Iterator[Artifact]:
        """Yield what a build may take parts from, newest first: sound as by ``find``, and open to reuse.

        Where ``reuse`` leaves out the kind, only what this Store built itself.
        """
        for artifact in self.artifacts(kind):
            if self._may_reuse(kind, artifact.key) and (sound := self._open(artifact.path)):
                yield sound

    def file_hash(self, path: Path) -> str:
        """Return the SHA-256 of a file outside the store, remembered while its size, mtime and inode stay.

        ``OSError`` when the file cannot be read.
        """
        path = Path(path).resolve()
        stamp = stamp_of(path)
        memory = self.layout.remembered_hash(path)
        try:
            known = read_json(memory)
            if known["stamp"] == stamp:
                return str(known["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not seen before, or no longer readable: hash it
        with hashing_bar(self.progress, f"hashing {path.name}", stamp[0]) as bar:
            digest = sha256_of(path, bar)
        if stamp_of(path) == stamp:
            with suppress(StoreError), writing(self.root):  # a hash that is not kept costs time, nothing else
                self._create()
                write_json(memory, {"path": str(path), "stamp": stamp, "sha256": digest})
        return digest

    def vanished(self) -> list[str]:
        """Return the keys of artifacts that were found or built here and are no longer there, and drop them.

        They were removed by hand, or pruned while this process was suspended.
        """
        gone = [key for key, folder in self._used.items() if not (folder / MANIFEST).exists()]
        for key in gone:
            del self._used[key]
        return gone

    # --- removing --------------------------------------------------------------------------------------

    def quarantine(self, folder: Path, damage: str) -> None:
        """Move a damaged artifact out of the way and note what was wrong, for the reason of its rebuild."""
        with writing(self.root):
            try:
                folder.rename(self.layout.new_damaged(folder.name))
            except FileNotFoundError:
                return  # another process was faster
            self.layout.damage_note(folder.name).write_text(damage, encoding="utf-8")
        self.progress.warn(f"{folder.parent.name} {folder.name}: {damage}; moved to {self.layout.damaged}")

    def discard(self, folder: Path, key: str) -> None:
        """Delete a folder, renamed first, so that no process sees, uses or publishes half of it."""
        trash = self.layout.new_scratch(key, TRASH)
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)

    # --- inside ----------------------------------------------------------------------------------------

    def _reusable(self, recipe: Recipe) -> Artifact | None:
        return self.find(recipe) if self._may_reuse(recipe.kind, recipe.key) else None

    def _may_reuse(self, kind: str, key: str) -> bool:
        if key in self._built:
            return True
        return self._reuse if isinstance(self._reuse, bool) else kind in self._reuse

    def _open(self, folder: Path) -> Artifact | None:
        """The sound artifact in a folder; a damaged one is moved out of the way.

        It counts as used by this process from before it is looked at, see :mod:`lookalike.store.lease`.
        """
        if not folder.exists():
            return None
        self._use(folder)
        with reading(self.root):
            while True:
                try:
                    inode = folder.stat().st_ino
                    artifact = read_artifact(folder)
                    check(artifact, self.progress)
                except (FileNotFoundError, NotADirectoryError):
                    return None
                except DamageError as damage:
                    if folder.exists() and folder.stat().st_ino != inode:
                        continue  # it was replaced while we looked
                    self.quarantine(folder, str(damage))
                    return None
                return artifact

    @contextmanager
    def _lease(self, recipe: Recipe) -> Iterator[Lease]:
        def say_waiting(owner: Owner | None) -> None:
            self.progress.say(
                f"{recipe.kind}: waiting for {owner or 'another process'}, which is building it"
            )

        self._create()
        lease = Lease(self.layout.lease(recipe.key), self.lease_seconds, say_waiting)
        with writing(self.root):
            lease.acquire()
        try:
            self._leases[recipe.key] = lease
            yield lease
        finally:
            self._leases.pop(recipe.key, None)
            lease.release()

    def _build(
        self, recipe: Recipe, build: Build, lease: Lease, explained: Callable[[], str | None]
    ) -> Artifact:
        for abandoned in self.layout.scratch_of(recipe.key, DRAFT):
            self.discard(abandoned, recipe.key)
        reason = self._reason(recipe, explained)
        draft = self.layout.new_scratch(recipe.key, DRAFT)
        try:
            with writing(self.root):
                draft.mkdir()
            started = time.perf_counter()
            with MemoryMeter() as memory:
                facts = build(draft) or {}
            cost = {"build_seconds": time.perf_counter() - started, "memory": memory.as_dict()}
            with writing(self.root):
                seal(draft, recipe, facts, cost=cost, reason=reason, progress=self.progress)
                artifact = self._publish(recipe, draft, reason)
        except Exception as error:
            if says_disk_full(error):
                raise disk_full(self.root) from error
            raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if lease.is_held():  # else the checkpoints are the new owner's
            for checkpoints in self.layout.scratch_of(recipe.key, CHECKPOINTS):
                self.discard(checkpoints, recipe.key)
        return artifact

    def _publish(self, recipe: Recipe, draft: Path, reason: str) -> Artifact:
        """Rename the draft into place, or leave it when another process was faster.

        A rebuild moves the old artifact aside first; another that looks meanwhile waits for our lease.
        """
        folder = self.layout.artifact(recipe.kind, recipe.key)
        folder.parent.mkdir(exist_ok=True)
        self._use(folder)
        while True:
            if not self._may_reuse(recipe.kind, recipe.key):
                self.discard(folder, recipe.key)
            elif found := self.find(recipe):
                return found
            try:
                draft.rename(folder)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                    continue  # another process published since we looked
                raise
            fsync(folder.parent)
            self._built.add(recipe.key)
            fsync(self.layout.kinds)  # the kind's folder may be new
            self.layout.damage_note(recipe.key).unlink(missing_ok=True)
            return replace(read_artifact(folder), reused=False, reason=reason)

    def _reason(self, recipe: Recipe, explained: Callable[[], str | None]) -> str:
        if self.layout.artifact(recipe.kind, recipe.key).exists():
            return REUSE_IS_OFF
        try:
            return self.layout.damage_note(recipe.key).read_text(encoding="utf-8")
        except FileNotFoundError:
            if reason := explained():
                return reason
            newest = islice(self.artifacts(recipe.kind), RELATIVES)
            return explain(recipe, (artifact.manifest for artifact in newest))

    def _use(self, folder: Path) -> None:
        self.uses.add(folder.name)
        self._used[folder.name] = folder

    def _create(self) -> None:
        if not self._is_created:
            create(self.layout)
            self._is_created = True
