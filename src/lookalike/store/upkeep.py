"""What ``lookalike store ls | verify | prune`` shows and does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.store.artifact import Artifact, DamageError, read_artifact, rehash
from lookalike.store.files import bytes_below, is_draft, read_json
from lookalike.store.layout import CHECKPOINTS, MANIFEST, STAMPS, TRASH, changed_at, children
from lookalike.store.lease import abandoned, clear_abandoned, is_live, keys_in_use
from lookalike.store.recipe import KEY_LENGTH

if TYPE_CHECKING:
    from lookalike.store.store import Store

DAY_SECONDS = 86_400.0
CHECKPOINT_DAYS = 7.0
"""Checkpoints that were left for this long are not going to be resumed."""


@dataclass(frozen=True)
class Entry:
    """One published artifact, as ``lookalike store ls`` shows it."""

    kind: str
    key: str
    bytes: int
    files: int
    built_at: str
    """ISO 8601, UTC."""
    used_at: float
    """Unix time of the last build, find or check."""
    build_seconds: float
    reason: str
    parameters: Mapping[str, Any]
    parents: Mapping[str, str]
    path: Path


@dataclass(frozen=True)
class Finding:
    """What ``verify`` found about one artifact."""

    kind: str
    key: str
    bytes: int
    problem: str | None
    """"index.faiss was damaged"; None when every byte is as published."""


@dataclass(frozen=True)
class Removal:
    """Something that ``prune`` removes, or would."""

    what: str
    """An artifact's kind, or "unfinished build", "checkpoints", "damaged copy", "lease", "file hash"."""
    path: Path
    bytes: int
    why: str


def entries(store: Store, kind: str | None = None) -> list[Entry]:
    """Return one row per artifact, newest first."""
    return [
        Entry(
            kind=artifact.kind,
            key=artifact.key,
            bytes=artifact.bytes,
            files=len(artifact.manifest["files"]),
            built_at=artifact.manifest["built_at"],
            used_at=_used_at(artifact),
            build_seconds=artifact.build_seconds,
            reason=artifact.manifest["reason"],
            parameters=artifact.manifest["parameters"],
            parents=artifact.manifest["parents"],
            path=artifact.path,
        )
        for artifact in store.artifacts(kind)
    ]


def verify(store: Store) -> Iterator[Finding]:
    """Hash every file of every artifact, believing no stamp; yield one finding each, by kind and key.

    What is damaged is moved to the store's ``damaged`` folder, so that the next run builds it again.
    """
    for parent in sorted(children(store.layout.kinds)):
        for folder in sorted(children(parent)):
            size, problem = 0, None
            try:
                artifact = read_artifact(folder)
                size = artifact.bytes
                rehash(artifact, list(artifact.manifest["files"]), store.progress)
            except FileNotFoundError:
                continue  # pruned or replaced meanwhile
            except OSError as error:
                problem = f"could not be read ({error})"
            except DamageError as damage:
                problem = str(damage)
                store.quarantine(folder, problem)
            yield Finding(parent.name, folder.name, size, problem)


def prune(
    store: Store,
    kinds: Collection[str] | None = None,
    unused_days: float | None = None,
    keep: Collection[str] | None = None,
    *,
    dry_run: bool = True,
    versions: Mapping[str, int] | None = None,
) -> list[Removal]:
    """Remove (list, when ``dry_run``) what is not needed; return what went, artifacts first.

    Always: unfinished builds without a living builder, checkpoints left for a week (or already
    published), damaged copies, abandoned leases, and remembered hashes of files that changed or went.
    Artifacts only when asked for, and then those to which *all* given conditions apply: of one of these
    ``kinds``; not built, found or checked for ``unused_days``; not among the keys in ``keep`` nor an
    ancestor of one; of an older version than ``versions`` says of their kind, or made from such. What a
    living process builds or uses stays, and so does an artifact that is used between the listing and its
    removal.
    """
    removals = list(_chosen_artifacts(store, kinds, unused_days, keep, versions))
    removals += [*_scratch(store), *_drafts(store), *_damaged(store), *_leases(store), *_hashes(store)]
    if not dry_run:
        removals = [removal for removal in removals if _remove(store, removal, unused_days)]
    return removals


def _chosen_artifacts(
    store: Store,
    kinds: Collection[str] | None,
    unused_days: float | None,
    keep: Collection[str] | None,
    versions: Mapping[str, int] | None,
) -> Iterator[Removal]:
    if kinds is None and unused_days is None and keep is None and versions is None:
        return
    artifacts = list(store.artifacts())
    kept = set() if keep is None else _with_ancestors(keep, artifacts)
    kept |= keys_in_use(store.layout.uses, besides=store.uses).keys()
    outdated = _outdated(versions or {}, artifacts)
    for artifact in artifacts:
        idle_days = _idle_days(artifact.path)
        if (
            (kinds is None or artifact.kind in kinds)
            and (unused_days is None or idle_days >= unused_days)
            and artifact.key not in kept
            and (versions is None or artifact.key in outdated)
            and not is_live(store.layout.lease(artifact.key))
        ):
            why = "of an older version" if versions is not None else "chosen"
            if unused_days is not None:
                why = f"unused for {idle_days:.0f} days"
            yield Removal(artifact.kind, artifact.path, bytes_below(artifact.path), why)


def _with_ancestors(keys: Collection[str], artifacts: Collection[Artifact]) -> set[str]:
    parents = {artifact.key: artifact.manifest["parents"].values() for artifact in artifacts}
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(parents.get(key, ()))
    return found


def _outdated(versions: Mapping[str, int], artifacts: Collection[Artifact]) -> set[str]:
    """Keys of what has an older version than its kind has now, and of all that was made from it."""
    found = {
        artifact.key
        for artifact in artifacts
        if artifact.manifest["version"] < versions.get(artifact.kind, 0)
    }
    while True:
        made_from = {
            artifact.key
            for artifact in artifacts
            if artifact.key not in found and not found.isdisjoint(artifact.manifest["parents"].values())
        }
        if not made_from:
            return found
        found |= made_from


def _scratch(store: Store) -> Iterator[Removal]:
    published = {folder.name for parent in children(store.layout.kinds) for folder in children(parent)}
    for path in sorted(children(store.layout.scratch)):
        key = path.name[:KEY_LENGTH]
        if is_live(store.layout.lease(key)):
            continue
        if path.suffix != CHECKPOINTS:
            yield Removal("unfinished build", path, bytes_below(path), "its process ended")
        elif key in published:
            yield Removal("checkpoints", path, bytes_below(path), "already published")
        elif time.time() - changed_at(path) > CHECKPOINT_DAYS * DAY_SECONDS:
            yield Removal("checkpoints", path, bytes_below(path), f"left for over {CHECKPOINT_DAYS:.0f} days")


def _damaged(store: Store) -> Iterator[Removal]:
    for path in sorted(children(store.layout.damaged)):
        if path.is_dir():
            yield Removal("damaged copy", path, bytes_below(path), "kept for inspection")


def _drafts(store: Store) -> Iterator[Removal]:
    """Files that a killed process was writing beside the one they were to replace."""
    kinds = [store.root, *children(store.layout.kinds)]
    for folder in [*kinds, *(artifact for kind in kinds[1:] for artifact in children(kind))]:
        for path in sorted(children(folder)):
            if is_draft(path) and time.time() - changed_at(path) > DAY_SECONDS:
                yield Removal("unfinished file", path, bytes_below(path), "its process ended")


def _leases(store: Store) -> Iterator[Removal]:
    for path in sorted(children(store.layout.leases)):
        if not is_live(path):
            yield Removal("lease", path, bytes_below(path), "its owner is gone")
    for path in abandoned(store.layout.uses):
        yield Removal("list of uses", path, bytes_below(path), "its process ended")


def _hashes(store: Store) -> Iterator[Removal]:
    for path in sorted(children(store.layout.hashes)):
        try:
            is_stale = not Path(read_json(path)["path"]).exists()
        except (ValueError, KeyError, TypeError):
            is_stale = True
        if is_stale:
            yield Removal("file hash", path, bytes_below(path), "its file is gone")


def _remove(store: Store, removal: Removal, unused_days: float | None) -> bool:
    """Remove it and return True, or leave it because a process has begun to use it."""
    if removal.path.parent.parent == store.layout.kinds:
        return _remove_artifact(store, removal.path, unused_days)
    if removal.what == "lease":
        clear_abandoned(removal.path)
    elif removal.path.is_dir():
        store.discard(removal.path, removal.path.name[:KEY_LENGTH])
    else:
        removal.path.unlink(missing_ok=True)
    return True


def _remove_artifact(store: Store, folder: Path, unused_days: float | None) -> bool:
    """Rename the artifact away and delete it, unless it is used by now: then it is put back."""
    key = folder.name

    def is_used(place: Path) -> bool:
        return (
            is_live(store.layout.lease(key))
            or key in keys_in_use(store.layout.uses, besides=store.uses)
            or (unused_days is not None and _idle_days(place) < unused_days)
        )

    if is_used(folder):
        return False
    trash = store.layout.new_scratch(key, TRASH)
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return False
    if is_used(trash):  # the process that uses it may have looked before it was renamed
        try:
            trash.rename(folder)
        except OSError:  # that process has built it again already
            shutil.rmtree(trash, ignore_errors=True)
        return False
    shutil.rmtree(trash, ignore_errors=True)
    return True


def _idle_days(folder: Path) -> float:
    """Days since the artifact in ``folder`` was last built, found or checked.

    Where its stamps are missing (they only save time) the manifest tells when it was built.
    """
    return (time.time() - (changed_at(folder / STAMPS) or changed_at(folder / MANIFEST))) / DAY_SECONDS


def _used_at(artifact: Artifact) -> float:
    return changed_at(artifact.path / STAMPS) or changed_at(artifact.path / MANIFEST)
